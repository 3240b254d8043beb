//! Troubles of etcd itself, row by row of the table in docs/coordination.md: what an operator sees, what goes on, and that it is over.

use nephoscope_tests::{Deadline, Etcd, Program};

use crate::members::{
    RESOURCES, codes, divides_with, is_well, joins_again, lab, polls_its_host, samples, serving, troubled,
    whole_cycles,
};

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
fn a_frozen_member_costs_no_sample() {
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
        // Without it, as long as it takes to come back.
        for program in &mut programs {
            divides_with(program, 2);
            is_well(program);
        }
        etcd.nodes[leader].thaw();
        // Another leader may be elected before anybody has waited too long for an answer.
        if failures(&programs) > before {
            break;
        }
        assert!(!deadline.has_passed(), "nobody has noticed any of it");
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
    for program in &mut programs {
        is_well(program);
    }
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
        troubled(program, "degraded", "etcd_no_leader");
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
fn another_cluster_at_the_same_address_is_joined() {
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
        is_well(program);
        assert_ne!(cluster(program), former);
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
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
fn more_under_the_prefix_than_a_pool_writes_is_refused_and_a_key_that_is_none_passed_over() {
    let etcd = Etcd::start();
    let lab = lab("a", &etcd.endpoints(), "");
    let mut program = serving(&lab);
    divides_with(&mut program, 1);
    // A value that no member has written: larger than any, and of no form.
    etcd.write("nephoscope/members/x", vec![b'x'; 1_400_000]);
    program.until("the reason invalid_key", |program| {
        (codes(program) == ["invalid_key"]).then_some(())
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
    troubled(&mut program, "etcd_error", "etcd_too_large");
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
