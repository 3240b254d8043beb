//! Endpoints that are dead, frozen, cut off, slow, or without a leader.

use std::time::Duration;

use nephoscope_pool::etcd::{Store, StoreError};
use nephoscope_tests::{Etcd, Network, Proxy};

use crate::stores::{changes, eventually, options, snapshot, soon, store, text, until};

#[tokio::test]
async fn dead_endpoints_fail_no_call() {
    let etcd = Etcd::start();
    let dead = Proxy::to(etcd.nodes[0].port);
    dead.set(Network::Cut);
    let silent = Proxy::to(etcd.nodes[0].port);
    silent.set(Network::HalfOpen);
    let endpoints = vec![
        etcd.url(dead.port),
        etcd.url(silent.port),
        etcd.endpoints()[0].clone(),
    ];
    // Each store starts with a random endpoint.
    for _ in 0..8 {
        let store = Store::new(options(endpoints.clone()));
        for number in 0..10 {
            store
                .put(b"p/a", format!("{number}").as_bytes(), None)
                .await
                .unwrap();
            assert!(store.get(b"p/a").await.unwrap().value.is_some());
        }
    }
}

#[tokio::test]
async fn a_cluster_works_without_one_of_its_nodes() {
    let mut etcd = Etcd::cluster();
    let store = store(&etcd);
    let mut follow = store.follow(&[b"p/"]);
    assert!(snapshot(&mut follow).await.entries.is_empty());
    // Each node once, which includes the store's endpoint and the leader.
    for index in 0..3 {
        etcd.nodes[index].kill();
        let value = format!("without {index}");
        eventually("a write", || store.put(b"p/a", value.as_bytes(), None)).await;
        let expected = format!("p/a={value}");
        until("the change", async || {
            text(&changes(&mut follow).await)
                .contains(&expected)
                .then_some(())
        })
        .await;
        etcd.nodes[index].start();
    }
}

#[tokio::test]
async fn a_frozen_leader_is_replaced() {
    let etcd = Etcd::cluster();
    let store = store(&etcd);
    store.put(b"p/a", b"before", None).await.unwrap();
    let leader = etcd.leader();
    etcd.nodes[leader].freeze();
    // The other nodes elect a leader; the outcome of earlier requests to the frozen one is unknown.
    eventually("a write", || store.put(b"p/a", b"after", None)).await;
    let entry = eventually("a read", || store.get(b"p/a")).await.value.unwrap();
    assert_eq!(entry.value, b"after");
    etcd.nodes[leader].thaw();
    assert_eq!(
        eventually("a read", || store.get(b"p/a"))
            .await
            .value
            .unwrap()
            .value,
        b"after"
    );
}

#[tokio::test]
async fn without_a_majority_a_call_fails_by_its_deadline_with_the_reason() {
    let mut etcd = Etcd::cluster();
    let store = store(&etcd);
    store.put(b"p/a", b"1", None).await.unwrap();
    etcd.nodes[0].kill();
    etcd.nodes[1].kill();
    let error = soon("an error", async {
        loop {
            // The remaining node needs a moment to notice.
            match store.put(b"p/a", b"2", None).await {
                Err(error @ StoreError::NoLeader { .. }) => return error,
                Err(_) => {}
                Ok(_) => panic!("a write without a majority"),
            }
        }
    });
    assert!(!error.await.may_have_happened());
    etcd.start_all();
    eventually("a write", || store.put(b"p/a", b"3", None)).await;
}

#[tokio::test]
async fn a_write_without_an_answer_reports_an_unknown_outcome() {
    let etcd = Etcd::start();
    let proxy = Proxy::to(etcd.nodes[0].port);
    let store = Store::new(options(vec![etcd.url(proxy.port)]));
    store.put(b"p/a", b"1", None).await.unwrap();
    proxy.set(Network::HalfOpen);
    let error = store.put(b"p/a", b"2", None).await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    // No endpoint is reachable now: the next write is certainly not executed.
    let error = store.put(b"p/a", b"3", None).await.unwrap_err();
    assert!(!error.may_have_happened(), "{error}");
    proxy.set(Network::Normal);
    eventually("a write", || store.put(b"p/a", b"4", None)).await;
    assert_eq!(store.get(b"p/a").await.unwrap().value.unwrap().value, b"4");
}

#[tokio::test]
async fn a_slow_network_causes_no_failure() {
    let etcd = Etcd::start();
    let proxy = Proxy::to(etcd.nodes[0].port);
    let store = Store::new(options(vec![etcd.url(proxy.port)]));
    proxy.set(Network::Slow(Duration::from_millis(100)));
    // The first call may time out before the connection is established, which needs several round trips.
    eventually("a write", || store.put(b"p/a", b"1", None)).await;
    store.put(b"p/a", b"2", None).await.unwrap();
    assert_eq!(store.get(b"p/a").await.unwrap().value.unwrap().value, b"2");
}

#[tokio::test]
async fn no_endpoint_listens() {
    let mut etcd = Etcd::start();
    etcd.kill_all();
    let error = store(&etcd).get(b"p").await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unreachable { reason } if reason.contains("refused")),
        "{error}"
    );
}
