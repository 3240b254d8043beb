//! Leases that are kept alive, end, or are uncertain.

use std::time::Duration;

use nephoscope_pool::etcd::{LeaseId, LeaseKeepAlive, Renewal, Store, StoreError};
use nephoscope_tests::{Etcd, Network, Proxy};

use crate::stores::{changes, options, snapshot, store, text, until};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_lease_is_measured_from_the_sending_of_each_keepalive_and_ends_when_revoked() {
    let etcd = Etcd::start();
    let store = store(&etcd);
    let (lease, granted) = store.grant(TTL).await.unwrap();
    assert_eq!(granted, TTL);
    store.put(b"p/a", b"1", Some(lease)).await.unwrap();
    assert_eq!(store.get(b"p/a").await.unwrap().value.unwrap().lease, lease.0);
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;

    let mut keepalive = LeaseKeepAlive::new(store.clone(), lease);
    let mut last = Duration::ZERO;
    for _ in 0..3 {
        let Renewal::Alive { sent } = keepalive.renew().await.unwrap() else {
            panic!("the lease is gone");
        };
        assert!(sent > last, "each keepalive is measured from its own sending");
        last = sent;
    }
    assert!(store.time_to_live(lease).await.unwrap().unwrap() <= TTL);
    store.revoke(lease).await.unwrap();
    assert_eq!(text(&changes(&mut follow).await), ["p/a is gone"]);
    // On the open stream, on a new one, and again.
    assert_eq!(keepalive.renew().await.unwrap(), Renewal::Gone);
    assert_eq!(keepalive.renew().await.unwrap(), Renewal::Gone);
    assert_eq!(store.time_to_live(lease).await.unwrap(), None);
    store.revoke(lease).await.unwrap();
    let error = store.put(b"p/a", b"2", Some(lease)).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseGone), "{error}");
    assert_eq!(
        LeaseKeepAlive::new(store, LeaseId(12345)).renew().await.unwrap(),
        Renewal::Gone
    );
}

#[tokio::test]
async fn a_short_lease_expires() {
    let etcd = Etcd::start();
    let store = store(&etcd);
    let (lease, granted) = store.grant(Duration::from_secs(1)).await.unwrap();
    assert!(granted >= Duration::from_secs(2), "etcd's minimum: {granted:?}");
    store.put(b"p/a", b"1", Some(lease)).await.unwrap();
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    assert_eq!(text(&changes(&mut follow).await), ["p/a is gone"]);
}

#[tokio::test]
async fn the_answer_to_a_dropped_keepalive_is_not_used_for_the_next_one() {
    let etcd = Etcd::start();
    let proxy = Proxy::to(etcd.nodes[0].port);
    let store = Store::new(options(vec![etcd.url(proxy.port)]));
    let (lease, _) = store.grant(TTL).await.unwrap();
    let mut keepalive = LeaseKeepAlive::new(store.clone(), lease);
    keepalive.renew().await.unwrap();
    proxy.set(Network::HalfOpen);
    // Polled once, so that it was sent; its answer arrives after the future was dropped.
    {
        let mut renewal = std::pin::pin!(keepalive.renew());
        assert!(futures::poll!(renewal.as_mut()).is_pending());
    }
    store.revoke(lease).await.unwrap_err();
    etcd.with(|mut client| async move { client.lease_revoke(lease.0).await });
    proxy.set(Network::Normal);
    // The pending answer may report an existing lease. The next keepalive must not use it.
    assert_eq!(
        until("a keepalive", async || keepalive.renew().await.ok()).await,
        Renewal::Gone
    );
}

#[tokio::test]
async fn a_keepalive_uses_another_endpoint_when_one_is_silent() {
    let etcd = Etcd::start();
    let proxies = [Proxy::to(etcd.nodes[0].port), Proxy::to(etcd.nodes[0].port)];
    let store = Store::new(options(
        proxies.iter().map(|proxy| etcd.url(proxy.port)).collect(),
    ));
    let (lease, _) = store.grant(TTL).await.unwrap();
    let mut keepalive = LeaseKeepAlive::new(store, lease);
    keepalive.renew().await.unwrap();
    for (silent, fair) in [(0, 1), (1, 0)] {
        proxies[fair].set(Network::Normal);
        proxies[silent].set(Network::HalfOpen);
        assert!(matches!(keepalive.renew().await.unwrap(), Renewal::Alive { .. }));
    }
    proxies[0].set(Network::HalfOpen);
    let error = keepalive.renew().await.unwrap_err();
    assert!(
        !matches!(error, StoreError::LeaseGone),
        "the state of the lease is unknown: {error}"
    );
    proxies[0].set(Network::Normal);
    until("a keepalive", async || keepalive.renew().await.ok()).await;
}

#[tokio::test]
async fn a_lease_survives_the_loss_of_the_leader() {
    let mut etcd = Etcd::cluster();
    let store = store(&etcd);
    let (lease, _) = store.grant(TTL).await.unwrap();
    let mut keepalive = LeaseKeepAlive::new(store, lease);
    keepalive.renew().await.unwrap();
    let leader = etcd.leader();
    etcd.nodes[leader].kill();
    let renewal = until("a keepalive", async || keepalive.renew().await.ok()).await;
    assert!(matches!(renewal, Renewal::Alive { .. }));
}
