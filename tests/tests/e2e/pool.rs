//! Agents that share work through etcd, from the operator's view.

use std::collections::BTreeMap;

use nephoscope_tests::{Etcd, Lab, Network, Proxy, Signal};
use serde_json::Value;

use crate::members::{
    RESOURCES, codes, divides_with, has_reason_and_metric, lab, more_cycles, samples, serving, shared,
};

#[test]
fn two_agents_divide_every_cycle_and_a_stopped_one_leaves_no_gap() {
    let etcd = Etcd::start();
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), ""));
    let [mut a, mut b] = labs.each_ref().map(serving);
    divides_with(&mut a, 2);
    divides_with(&mut b, 2);
    more_cycles(&mut a, &labs[0]);
    let stopped = b.stop();
    assert_eq!(stopped.code(), 0, "{stopped}");
    divides_with(&mut a, 1);
    more_cycles(&mut a, &labs[0]);
    let stopped = a.stop();
    assert_eq!(stopped.code(), 0, "{stopped}");

    // Each resource once in each cycle: the meter's value is the number of the cycle.
    let mut seen: BTreeMap<u64, BTreeMap<String, usize>> = BTreeMap::new();
    for sample in labs.iter().flat_map(samples) {
        let cycle = seen.entry(sample.volume() as u64).or_default();
        *cycle.entry(sample.resource().to_owned()).or_default() += 1;
    }
    assert!(seen.len() >= 4, "{seen:?}");
    for (cycle, resources) in &seen {
        assert_eq!(resources.len(), RESOURCES, "cycle {cycle} is complete");
        assert!(
            resources.values().all(|count| *count == 1),
            "cycle {cycle}: {resources:?}"
        );
    }
    assert!(labs.iter().all(|lab| !samples(lab).is_empty()));
    assert!(etcd.read("nephoscope/members/").is_empty());
}

#[test]
fn a_killed_agent_rejoins_at_once_and_a_frozen_one_returns() {
    let etcd = Etcd::start();
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), ""));
    let [mut a, mut b] = labs.each_ref().map(serving);
    divides_with(&mut a, 2);
    divides_with(&mut b, 2);
    let _ = b.kill();
    let mut b = serving(&labs[1]);
    divides_with(&mut b, 2);
    b.signal(Signal::STOP);
    divides_with(&mut a, 1);
    b.signal(Signal::CONT);
    divides_with(&mut a, 2);
    b.until("another membership", |program| {
        (program.get("/metrics").metric("nephoscope_pool_joins_total", &[]) >= 2.0).then_some(())
    });
    b.until("to be ready", |program| {
        (program.get("/readyz").status == 200).then_some(())
    });
}

#[test]
fn an_agent_with_only_host_resources_opens_no_connection() {
    let etcd = Etcd::start();
    let proxy = Proxy::to(etcd.nodes[0].port);
    let lab = Lab::with(&format!(
        "agent: {{namespaces: [host], id: a, state_dir: $LAB/state}}\n\
         coordination: {{endpoints: [\"{}\"]}}\n\
         notifier: {{publishers: [{{name: file, url: \"discard:\"}}]}}\n\
         sources: [{{name: own, interval: 1, meters: [\"*\"]}}]\n",
        etcd.url(proxy.port)
    ));
    let mut program = lab
        .nephoscope(&["run", "--log-level", "debug", "--require-coordination"])
        .start();
    program.ready();
    program.cycles(2);
    assert_eq!(program.json("/api/v1/members")["pool"]["membership"], "none");
    let _ = program.stop();
    let once = lab.nephoscope(&["once"]).finish();
    assert!(!once.samples().is_empty(), "{once}");
    assert!(proxy.sent().is_empty());
}

#[test]
fn a_duplicate_id_is_rejected_with_the_host_of_its_holder() {
    let etcd = Etcd::start();
    let first = lab("a", &etcd.endpoints(), "");
    let mut running = serving(&first);
    divides_with(&mut running, 1);
    let second = lab("a", &etcd.endpoints(), "");
    let refused = second.nephoscope(&["run"]).finish().expect(3);
    assert!(
        refused.stderr.contains("in use by an agent on host host-a"),
        "{refused}"
    );
    // `once` does not join.
    let once = second.nephoscope(&["once"]).finish().expect(0);
    assert_eq!(shared(once.samples()).len(), RESOURCES);
}

#[test]
fn required_coordination_without_etcd() {
    let mut etcd = Etcd::start();
    let lab = lab("a", &etcd.endpoints(), "");
    etcd.kill_all();
    // Without the option the agent waits for etcd.
    let mut patient = serving(&lab);
    has_reason_and_metric(&mut patient, "etcd_unreachable", "etcd_unreachable");
    assert!(codes(&patient).contains(&"not_joined".to_owned()));
    assert_eq!(patient.get("/readyz").status, 503);
    etcd.start_all();
    divides_with(&mut patient, 1);
    let _ = patient.stop();
    etcd.kill_all();
    let refused = lab
        .nephoscope(&["run", "--require-coordination"])
        .finish()
        .expect(3);
    assert!(refused.stderr.contains("`--require-coordination`"), "{refused}");
}

#[test]
fn on_loss_determines_the_behaviour_without_etcd() {
    let etcd = Etcd::start();
    let proxies = [
        Proxy::without_record(etcd.nodes[0].port),
        Proxy::without_record(etcd.nodes[0].port),
    ];
    let labs = [("a", "continue"), ("b", "pause")];
    let labs: Vec<_> = labs
        .iter()
        .zip(&proxies)
        .map(|((id, on_loss), proxy)| lab(id, &[etcd.url(proxy.port)], &format!("on_loss: {on_loss}")))
        .collect();
    let (mut a, mut b) = (serving(&labs[0]), serving(&labs[1]));
    divides_with(&mut a, 2);
    divides_with(&mut b, 2);
    proxies.iter().for_each(|proxy| proxy.set(Network::HalfOpen));
    has_reason_and_metric(&mut a, "degraded", "etcd_unreachable");
    has_reason_and_metric(&mut b, "paused", "etcd_unreachable");
    assert_eq!(b.get("/readyz").status, 503);
    let before = samples(&labs[0]).len();
    a.until("samples without etcd", |_| {
        (samples(&labs[0]).len() > before).then_some(())
    });
    proxies.iter().for_each(|proxy| proxy.set(Network::Normal));
    for program in [&mut a, &mut b] {
        divides_with(program, 2);
        program.until("an agent without a reason", |program| {
            codes(program).is_empty().then_some(())
        });
    }
}

#[test]
fn each_error_of_etcd_has_a_reason_that_is_cleared() {
    let mut etcd = Etcd::build().quota(3 * 1024 * 1024).start();
    etcd.protect("agent", "secret-canary", "nephoscope/");
    let wrong = lab("a", &etcd.endpoints(), "user: agent, password: wrong");
    let mut program = serving(&wrong);
    has_reason_and_metric(&mut program, "etcd_credentials", "etcd_credentials");
    let _ = program.kill();

    let options = "user: agent, password: secret-canary, quota: 3MiB";
    let lab = lab("a", &etcd.endpoints(), options);
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    etcd.forbid("agent");
    has_reason_and_metric(&mut program, "etcd_permission_denied", "etcd_permission_denied");
    etcd.permit("agent");
    program.until("an agent without a reason", |program| {
        codes(program).is_empty().then_some(())
    });
    // Other clients fill the database.
    etcd.with(|mut client| async move {
        while client.put("other", vec![b'x'; 500_000], None).await.is_ok() {}
        Ok(())
    });
    has_reason_and_metric(&mut program, "etcd_quota_exceeded", "etcd_quota_exceeded");
    let before = samples(&lab).len();
    program.until("samples without new plans", |_| {
        (samples(&lab).len() > before).then_some(())
    });
    etcd.relieve();
    program.until("an agent without a reason", |program| {
        let codes = codes(program);
        codes.iter().all(|code| code == "etcd_quota_low").then_some(())
    });
    divides_with(&mut program, 1);
    let stopped = program.stop();
    assert!(!stopped.stderr.contains("canary"), "{stopped}");
}

#[test]
fn an_etcd_close_to_its_quota_is_reported() {
    // Its database grows by 16 MiB at a time: after the first growth it is at 84 % of this, almost all of it free.
    const QUOTA: u32 = 20_000_000;
    let etcd = Etcd::build().quota(QUOTA.into()).start();
    etcd.with(|mut client| async move {
        while client.status().await?.db_size() < i64::from(QUOTA) / 100 * 80 {
            client.put("other", vec![b'x'; 20_000], None).await?;
        }
        Ok(())
    });
    let lab = lab("a", &etcd.endpoints(), &format!("quota: {QUOTA}"));
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    program.until("the warning", |program| {
        (codes(program) == ["etcd_quota_low"]).then_some(())
    });
    let answer = program.get("/readyz");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        program
            .get("/metrics")
            .metric("nephoscope_etcd_database_bytes", &[])
            > 0.8 * f64::from(QUOTA)
    );
}

#[test]
fn partition_shows_a_pool_to_any_client_of_etcd() {
    let etcd = Etcd::start();
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), "group_prefix: pp"));
    let [mut a, mut b] = labs.each_ref().map(serving);
    divides_with(&mut a, 2);
    divides_with(&mut b, 2);
    let rows = |arguments: &[&str]| -> Vec<Value> {
        let finished = labs[0].nephoscope(arguments).finish().expect(0);
        finished
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let all = rows(&["partition"]);
    let members: Vec<_> = all.iter().filter(|row| row["kind"] == "member").collect();
    assert_eq!(members.len(), 2);
    assert_eq!(members[0]["host"], "host-a");
    assert!(members.iter().all(|member| member["lease_age"].is_u64()));
    let plans: Vec<_> = all.iter().filter(|row| row["kind"] == "plan").collect();
    for plan in &plans {
        let of_unit: Vec<_> = plans
            .iter()
            .filter(|other| other["unit"] == plan["unit"])
            .collect();
        let share: f64 = of_unit.iter().map(|row| row["share"].as_f64().unwrap()).sum();
        assert!(of_unit.len() == 2 && (share - 1.0).abs() < 1e-6, "{of_unit:?}");
    }
    assert!(
        plans[0]["unit"]
            .as_str()
            .unwrap()
            .starts_with("host-synthetic-pp-global synthetic://"),
        "{plans:?}"
    );
    let owner = &rows(&["partition", "--key", "r1"])[0];
    assert_eq!(owner["ranking"].as_array().unwrap().len(), 2);
    // Ownership computed without etcd equals the pool's.
    let keys = labs[0].write("keys", "r1\nr2\n");
    let keys = keys.to_str().unwrap();
    let computed = rows(&[
        "partition",
        "--members",
        "a,b",
        "--keys-file",
        keys,
        "--format",
        "json",
    ]);
    assert_eq!(computed[0]["key"], "r1");
    assert_eq!(computed[0]["owner"], owner["owner"]);
    for moved in rows(&["partition", "--without", "a", "--keys-file", keys]) {
        assert_eq!(
            (moved["from"].as_str(), moved["to"].as_str()),
            (Some("a"), Some("b"))
        );
    }
    let unknown = labs[0]
        .nephoscope(&["partition", "--without", "c"])
        .finish()
        .expect(2);
    assert!(unknown.stderr.contains("`c`"), "{unknown}");
}
