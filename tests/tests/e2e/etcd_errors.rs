//! Errors of etcd itself, by the rows of the table in docs/coordination.md: the effect for an operator, the remaining
//! function, and the recovery.

use nephoscope_tests::{Deadline, Etcd, Program};

use crate::members::{
    RESOURCES, codes, divides_with, has_reason_and_metric, is_healthy, joins_again, lab, polls_its_host,
    samples, serving, whole_cycles,
};

#[test]
fn a_dead_leader_and_a_dead_endpoint_lose_no_sample() {
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
    is_healthy(&mut program);
    etcd.start_all();
    whole_cycles(&mut program, &[&lab]);
}

#[test]
fn a_frozen_member_loses_no_sample() {
    let etcd = Etcd::cluster();
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), ""));
    let mut programs = labs.each_ref().map(serving);
    for program in &mut programs {
        divides_with(program, 2);
    }
    let failures = |programs: &[Program]| -> f64 {
        let metrics = programs.iter().map(|program| program.get("/metrics"));
        metrics
            .map(|metrics| metrics.metric("nephoscope_etcd_failures_total", &[]))
            .sum()
    };
    let before = failures(&programs);
    let deadline = Deadline::start();
    loop {
        let leader = etcd.leader();
        etcd.nodes[leader].freeze();
        whole_cycles(&mut programs[0], &labs.each_ref());
        // Freeze it until the agents have noticed.
        for program in &mut programs {
            divides_with(program, 2);
            is_healthy(program);
        }
        etcd.nodes[leader].thaw();
        // Another leader may be elected before any request times out.
        if failures(&programs) > before {
            break;
        }
        assert!(!deadline.has_passed(), "no agent noticed it");
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
    for program in &mut programs {
        is_healthy(program);
    }
}

#[test]
fn without_a_majority_agents_continue_with_the_last_plans() {
    let mut etcd = Etcd::cluster();
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), ""));
    let [mut a, mut b] = labs.each_ref().map(serving);
    divides_with(&mut a, 2);
    divides_with(&mut b, 2);
    whole_cycles(&mut a, &labs.each_ref());
    etcd.nodes[0].kill();
    etcd.nodes[1].kill();
    for program in [&mut a, &mut b] {
        has_reason_and_metric(program, "degraded", "etcd_no_leader");
        assert!(codes(program).contains(&"etcd_unreachable".to_owned()));
        assert_eq!(program.get("/readyz").status, 200);
    }
    whole_cycles(&mut a, &labs.each_ref());
    etcd.start_all();
    for program in [&mut a, &mut b] {
        divides_with(program, 2);
        is_healthy(program);
    }
    whole_cycles(&mut a, &labs.each_ref());
}

#[test]
fn agents_rejoin_a_restarted_and_a_wiped_etcd() {
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
        is_healthy(program);
    }
    assert_eq!(etcd.read("nephoscope/members/").len(), 2);
}

#[test]
fn agents_join_another_cluster_at_the_same_address() {
    let mut etcd = Etcd::start();
    let labs = ["a", "b"].map(|id| lab(id, &etcd.endpoints(), ""));
    let mut programs = labs.each_ref().map(serving);
    for program in &mut programs {
        divides_with(program, 2);
    }
    let cluster = |program: &Program| program.json("/api/v1/members")["pool"]["etcd"]["cluster"].to_string();
    let former = cluster(&programs[0]);
    etcd.exchange();
    whole_cycles(&mut programs[0], &labs.each_ref());
    for program in &mut programs {
        joins_again(program);
        divides_with(program, 2);
        is_healthy(program);
        assert_ne!(cluster(program), former);
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
    assert_eq!(etcd.read("nephoscope/members/").len(), 2);
}

#[test]
fn a_manually_revoked_lease_loses_no_sample() {
    let etcd = Etcd::start();
    let lab = lab("a", &etcd.endpoints(), "");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    let lease = etcd.read("nephoscope/members/a")[0].lease();
    etcd.with(|mut client| async move { client.lease_revoke(lease).await });
    whole_cycles(&mut program, &[&lab]);
    joins_again(&mut program);
    divides_with(&mut program, 1);
    is_healthy(&mut program);
}

#[test]
fn too_much_data_under_the_prefix_is_rejected_and_an_invalid_key_skipped() {
    let etcd = Etcd::start();
    let lab = lab("a", &etcd.endpoints(), "");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    // A value that no member wrote: larger than any valid one, in an unknown format.
    etcd.write("nephoscope/members/x", vec![b'x'; 1_400_000]);
    program.until("the reason invalid_key", |program| {
        (codes(program) == ["invalid_key"]).then_some(())
    });
    assert_eq!(program.get("/readyz").status, 200);
    whole_cycles(&mut program, &[&lab]);
    // More than can be read at once.
    for number in 0..50 {
        etcd.write(&format!("nephoscope/members/x{number}"), vec![b'x'; 1_400_000]);
    }
    let _ = program.kill();
    let before = samples(&lab).len();
    assert!(before >= RESOURCES);
    let mut program = serving(&lab);
    has_reason_and_metric(&mut program, "etcd_error", "etcd_too_large");
    polls_its_host(&mut program, &lab);
    assert_eq!(program.get("/readyz").status, 503);
    for number in 0..50 {
        etcd.delete(&format!("nephoscope/members/x{number}"));
    }
    etcd.delete("nephoscope/members/x");
    divides_with(&mut program, 1);
    is_healthy(&mut program);
    whole_cycles(&mut program, &[&lab]);
}
