//! Errors of the network between agents and etcd, by the rows of the table in docs/coordination.md.

use std::time::Duration;

use nephoscope_tests::{Etcd, Network, Proxy};

use crate::members::{
    divides_with, has_reason_and_metric, is_healthy, lab, lab_with_lease, samples, serving, whole_cycles,
};

#[test]
fn a_slow_network_causes_no_error() {
    let etcd = Etcd::start();
    let proxies = [(); 3].map(|()| Proxy::without_record(etcd.nodes[0].port));
    let labs = [0, 1, 2].map(|number| lab(["a", "b", "c"][number], &[etcd.url(proxies[number].port)], ""));
    let mut programs = vec![serving(&labs[0]), serving(&labs[1])];
    for program in &mut programs {
        divides_with(program, 2);
    }
    let slow = Network::Slow(Duration::from_millis(80));
    proxies.iter().for_each(|proxy| proxy.set(slow));
    // Plans are still agreed on; otherwise this agent would have no share.
    programs.push(serving(&labs[2]));
    for program in &mut programs {
        divides_with(program, 3);
    }
    whole_cycles(&mut programs[0], &labs.each_ref());
    for program in &mut programs {
        is_healthy(program);
        let metrics = program.get("/metrics");
        assert!(!metrics.body.contains("nephoscope_etcd_unhealthy_seconds{"));
    }
    assert!(labs.iter().all(|lab| !samples(lab).is_empty()));
}

#[test]
fn a_connection_cut_for_less_than_a_lease_loses_no_sample_and_no_change() {
    let etcd = Etcd::start();
    let proxy = Proxy::without_record(etcd.nodes[0].port);
    // Long enough that it lasts even on a loaded machine.
    let lease = Duration::from_secs(60);
    let labs = [
        lab_with_lease("a", &[etcd.url(proxy.port)], lease, ""),
        lab_with_lease("b", &etcd.endpoints(), lease, ""),
        lab_with_lease("c", &etcd.endpoints(), lease, ""),
    ];
    let mut a = serving(&labs[0]);
    let mut b = serving(&labs[1]);
    divides_with(&mut a, 2);
    divides_with(&mut b, 2);
    let key = || etcd.read("nephoscope/members/a")[0].create_revision();
    let (failures, created) = ("nephoscope_etcd_failures_total", key());
    let before = a.get("/metrics").metric(failures, &[]);
    proxy.set(Network::Cut);
    // A member joins meanwhile, and plans list it.
    let mut c = serving(&labs[2]);
    divides_with(&mut c, 3);
    has_reason_and_metric(&mut a, "etcd_unreachable", "etcd_unreachable");
    whole_cycles(&mut a, &labs.each_ref());
    proxy.set(Network::Normal);
    for program in [&mut a, &mut b, &mut c] {
        divides_with(program, 3);
        is_healthy(program);
    }
    whole_cycles(&mut a, &labs.each_ref());
    let metrics = a.get("/metrics");
    assert!(metrics.metric(failures, &[]) > before);
    assert_eq!(metrics.metric("nephoscope_pool_lost_memberships_total", &[]), 0.0);
    assert_eq!(key(), created, "it was a member all the time");
}

#[test]
fn compacted_changes_are_read_again_after_a_cut() {
    let etcd = Etcd::start();
    let proxy = Proxy::without_record(etcd.nodes[0].port);
    let labs = [
        lab("a", &[etcd.url(proxy.port)], ""),
        lab("b", &etcd.endpoints(), ""),
    ];
    let mut a = serving(&labs[0]);
    divides_with(&mut a, 1);
    proxy.set(Network::Cut);
    has_reason_and_metric(&mut a, "etcd_unreachable", "etcd_unreachable");
    // It misses a member, plans, and earlier history.
    let mut b = serving(&labs[1]);
    divides_with(&mut b, 1);
    etcd.compact();
    proxy.set(Network::Normal);
    for program in [&mut a, &mut b] {
        divides_with(program, 2);
        is_healthy(program);
    }
    whole_cycles(&mut a, &labs.each_ref());
}
