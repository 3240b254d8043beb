//! Troubles with etcd, row by row of the table in docs/coordination.md: what an operator sees, what goes on, and that it is over.

use nephoscope_tests::{Etcd, Lab, Proxy, Weather};

use crate::members::{
    RESOURCES, codes, divides_with, is_well, joins_again, lab, polls_its_host, samples, serving, troubled,
    whole_cycles,
};

/// The section `tls`, with these files.
fn tls(etcd: &Etcd, ca: &str, identity: bool) -> String {
    let certificates = etcd.certificates.as_ref().unwrap();
    let identity = if identity {
        format!(
            ", cert: {}, key: {}",
            certificates.client.display(),
            certificates.client_key.display()
        )
    } else {
        String::new()
    };
    format!("tls: {{ca: {ca}{identity}}}")
}

/// Starts an agent that cannot join, and sees that it says so and polls its host; then takes it down.
fn refused(lab: &Lab, code: &str, metric: &str) {
    let mut program = serving(lab);
    troubled(&mut program, code, metric);
    assert!(codes(&program).contains(&"not_joined".to_owned()));
    assert_eq!(program.get("/readyz").status, 503);
    assert_eq!(program.get("/metrics").metric("nephoscope_pool_member", &[]), 0.0);
    polls_its_host(&mut program, lab);
    assert!(samples(lab).is_empty(), "nothing that is shared is polled");
    let stopped = program.stop();
    assert!(!stopped.stderr.contains("canary"), "{stopped}");
}

#[test]
fn a_leader_that_dies_and_an_endpoint_that_is_dead_cost_no_sample() {
    let mut etcd = Etcd::cluster();
    let mut endpoints = etcd.endpoints();
    endpoints.insert(0, "http://127.0.0.1:9".to_owned());
    let lab = lab("a", &endpoints, "");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    let leader = etcd.leader();
    etcd.nodes[leader].kill();
    whole_cycles(&mut program, &[&lab]);
    assert_ne!(etcd.leader(), leader);
    divides_with(&mut program, 1);
    is_well(&mut program);
    etcd.start_all();
    whole_cycles(&mut program, &[&lab]);
}

#[test]
fn without_a_majority_everything_goes_on_by_the_last_plans() {
    let mut etcd = Etcd::cluster();
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), ""));
    let [mut a, mut b] = labs.each_ref().map(serving);
    divides_with(&mut a, 2);
    divides_with(&mut b, 2);
    whole_cycles(&mut a, &labs.each_ref());
    etcd.nodes[0].kill();
    etcd.nodes[1].kill();
    for program in [&mut a, &mut b] {
        troubled(program, "degraded", "etcd_without_leader");
        assert!(codes(program).contains(&"etcd_unreachable".to_owned()));
        assert_eq!(program.get("/readyz").status, 200);
    }
    whole_cycles(&mut a, &labs.each_ref());
    etcd.start_all();
    for program in [&mut a, &mut b] {
        divides_with(program, 2);
        is_well(program);
    }
    whole_cycles(&mut a, &labs.each_ref());
}

#[test]
fn an_etcd_that_is_restarted_and_one_that_is_wiped_are_joined_again() {
    let mut etcd = Etcd::start();
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), ""));
    let [mut a, mut b] = labs.each_ref().map(serving);
    divides_with(&mut a, 2);
    divides_with(&mut b, 2);
    etcd.kill_all();
    etcd.start_all();
    whole_cycles(&mut a, &labs.each_ref());
    divides_with(&mut a, 2);
    etcd.wipe();
    whole_cycles(&mut a, &labs.each_ref());
    for program in [&mut a, &mut b] {
        joins_again(program);
        divides_with(program, 2);
        is_well(program);
    }
    assert_eq!(etcd.read("nephoscope/members/").len(), 2);
}

#[test]
fn a_lease_that_is_revoked_by_hand_costs_no_sample() {
    let etcd = Etcd::start();
    let lab = lab("a", &etcd.endpoints(), "");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    let lease = etcd.read("nephoscope/members/a")[0].lease();
    etcd.with(|mut client| async move { client.lease_revoke(lease).await });
    whole_cycles(&mut program, &[&lab]);
    joins_again(&mut program);
    divides_with(&mut program, 1);
    is_well(&mut program);
}

#[test]
fn what_was_compacted_while_an_agent_was_cut_off_is_read_anew() {
    let etcd = Etcd::start();
    let proxy = Proxy::forgetful(etcd.nodes[0].port);
    let labs = [
        lab("a", &[etcd.url(proxy.port)], ""),
        lab("b", &etcd.endpoints(), ""),
    ];
    let mut a = serving(&labs[0]);
    divides_with(&mut a, 1);
    proxy.set(Weather::Cut);
    troubled(&mut a, "etcd_unreachable", "etcd_unreachable");
    // It misses a member, plans, and what was before them.
    let mut b = serving(&labs[1]);
    divides_with(&mut b, 1);
    etcd.compact();
    proxy.set(Weather::Fair);
    for program in [&mut a, &mut b] {
        divides_with(program, 2);
        is_well(program);
    }
    whole_cycles(&mut a, &labs.each_ref());
}

#[test]
fn a_password_that_is_changed_stops_nothing() {
    let mut etcd = Etcd::build().token_seconds(1).start();
    etcd.protect("agent", "secret-canary", "nephoscope/");
    let lab = lab("a", &etcd.endpoints(), "user: agent, password: secret-canary");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    // Tokens that expire are replaced without a word.
    whole_cycles(&mut program, &[&lab]);
    is_well(&mut program);
    etcd.change_password("agent", "another");
    troubled(&mut program, "etcd_credentials", "etcd_credentials");
    whole_cycles(&mut program, &[&lab]);
    assert_eq!(program.get("/readyz").status, 200);
    etcd.change_password("agent", "secret-canary");
    divides_with(&mut program, 1);
    is_well(&mut program);
    let stopped = program.stop();
    assert!(!stopped.stderr.contains("canary"), "{stopped}");
}

#[test]
fn certificates_that_do_not_fit_are_told_as_such() {
    let mut etcd = Etcd::build().tls().start();
    let certificates = etcd.certificates.as_ref().unwrap();
    let (ca, other) = (
        certificates.ca.display().to_string(),
        certificates.other_ca.display().to_string(),
    );
    let with = |id: &str, more: String| lab(id, &etcd.endpoints(), &more);
    // An authority that did not sign etcd's certificate; no certificate of ours; a file that is none.
    let unreachable = "etcd_unreachable";
    refused(&with("a", tls(&etcd, &other, true)), unreachable, unreachable);
    refused(&with("b", tls(&etcd, &ca, false)), unreachable, unreachable);
    let mended = with("c", tls(&etcd, "$LAB/ca.pem", true));
    refused(&mended, "etcd_tls", "etcd_tls");

    // The files are read again at each connection.
    let mut program = serving(&mended);
    troubled(&mut program, "etcd_tls", "etcd_tls");
    mended.write("ca.pem", &std::fs::read_to_string(&ca).unwrap());
    divides_with(&mut program, 1);
    whole_cycles(&mut program, &[&mended]);
    is_well(&mut program);
    let _ = program.stop();

    // With a user beside the certificate, it is the user's password that counts.
    etcd.protect("agent", "secret-canary", "nephoscope/");
    let with = |id: &str, password: &str| {
        let user = format!("user: agent, password: {password}");
        lab(
            id,
            &etcd.endpoints(),
            &format!("{}, {user}", tls(&etcd, &ca, true)),
        )
    };
    refused(&with("d", "wrong-canary"), "etcd_credentials", "etcd_credentials");
    let right = with("e", "secret-canary");
    let mut program = serving(&right);
    divides_with(&mut program, 1);
    whole_cycles(&mut program, &[&right]);
    is_well(&mut program);
}

#[test]
fn more_under_the_prefix_than_a_pool_writes_is_refused_and_a_key_that_is_none_passed_over() {
    let etcd = Etcd::start();
    let lab = lab("a", &etcd.endpoints(), "");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    // A value that no member has written: larger than any, and of no form.
    etcd.write("nephoscope/members/x", vec![b'x'; 1_400_000]);
    program.until("the reason bad_key", |program| {
        (codes(program) == ["bad_key"]).then_some(())
    });
    assert_eq!(program.get("/readyz").status, 200);
    whole_cycles(&mut program, &[&lab]);
    // So much that it cannot be read at once.
    for number in 0..50 {
        etcd.write(&format!("nephoscope/members/x{number}"), vec![b'x'; 1_400_000]);
    }
    let _ = program.kill();
    let before = samples(&lab).len();
    assert!(before >= RESOURCES);
    let mut program = serving(&lab);
    troubled(&mut program, "etcd_refuses", "etcd_too_large");
    polls_its_host(&mut program, &lab);
    assert_eq!(program.get("/readyz").status, 503);
    for number in 0..50 {
        etcd.delete(&format!("nephoscope/members/x{number}"));
    }
    etcd.delete("nephoscope/members/x");
    divides_with(&mut program, 1);
    is_well(&mut program);
    whole_cycles(&mut program, &[&lab]);
}
