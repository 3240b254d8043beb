//! Watches that break, lag, and encounter compaction.

use nephoscope_pool::etcd::{FollowEvent, Store, StoreError};
use nephoscope_tests::{Etcd, Network, Proxy};

use crate::stores::{broken, changes, keys, options, snapshot, soon, store, text};

#[tokio::test]
async fn a_subscription_starts_with_a_snapshot_and_continues_with_every_change() {
    let etcd = Etcd::start();
    etcd.write("p/a", "1");
    etcd.write("pq", "another prefix");
    let store = store(&etcd);
    let mut follow = store.follow(&[b"p/"]);
    assert_eq!(keys(&snapshot(&mut follow).await), ["p/a"]);
    etcd.write("p/b", "2");
    assert_eq!(text(&changes(&mut follow).await), ["p/b=2"]);
    etcd.write("pq", "still another prefix");
    etcd.delete("p/a");
    assert_eq!(text(&changes(&mut follow).await), ["p/a is gone"]);
}

#[tokio::test]
async fn several_prefixes_are_read_together_and_followed_together() {
    let etcd = Etcd::start();
    etcd.write("p/members/a", "1");
    etcd.write("p/marks/a", "not followed");
    etcd.write("p/plans/a", "2");
    let proxy = Proxy::to(etcd.nodes[0].port);
    let store = Store::new(options(vec![etcd.url(proxy.port)]));
    let mut follow = store.follow(&[b"p/members/", b"p/plans/"]);
    assert_eq!(keys(&snapshot(&mut follow).await), ["p/members/a", "p/plans/a"]);
    for round in 0..2 {
        etcd.write("p/plans/a", format!("{round}"));
        etcd.write("p/marks/a", "not followed");
        etcd.write("p/members/a", format!("{round}"));
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.extend(text(&changes(&mut follow).await));
        }
        seen.sort();
        assert_eq!(
            seen,
            [format!("p/members/a={round}"), format!("p/plans/a={round}")]
        );
        // Each watch resumes where it broke, and no change is repeated.
        proxy.set(Network::Cut);
        broken(&mut follow).await;
        proxy.set(Network::Normal);
    }
}

#[tokio::test]
async fn a_broken_watch_misses_no_change() {
    let etcd = Etcd::start();
    let proxy = Proxy::to(etcd.nodes[0].port);
    let store = Store::new(options(vec![etcd.url(proxy.port)]));
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    etcd.write("p/a", "1");
    assert_eq!(text(&changes(&mut follow).await), ["p/a=1"]);
    proxy.set(Network::Cut);
    broken(&mut follow).await;
    etcd.write("p/a", "2");
    etcd.write("p/b", "3");
    etcd.delete("p/a");
    proxy.set(Network::Normal);
    let resumed = async {
        loop {
            match follow.next().await.unwrap() {
                FollowEvent::Resumed => return,
                FollowEvent::Broken(_) => {}
                event => panic!("before the watch has resumed: {event:?}"),
            }
        }
    };
    soon("the watch to resume", resumed).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(text(&changes(&mut follow).await));
    }
    assert_eq!(seen, ["p/a=2", "p/b=3", "p/a is gone"]);
}

#[tokio::test]
async fn a_watch_detects_a_silent_peer() {
    let etcd = Etcd::start();
    let store = store(&etcd);
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    etcd.freeze_all();
    // No other request is sent to etcd: the watch alone must detect it.
    let error = broken(&mut follow).await;
    assert!(matches!(error, StoreError::Unanswered { .. }), "{error}");
    etcd.thaw_all();
    etcd.write("p/a", "1");
    assert_eq!(text(&changes(&mut follow).await), ["p/a=1"]);
}

#[tokio::test]
async fn a_silent_watch_ends_as_soon_as_a_call_finds_the_connection_dead() {
    let etcd = Etcd::start();
    let proxies = [Proxy::to(etcd.nodes[0].port), Proxy::to(etcd.nodes[0].port)];
    let store = Store::new(options(
        proxies.iter().map(|proxy| etcd.url(proxy.port)).collect(),
    ));
    let (lease, _) = store.grant(std::time::Duration::from_secs(60)).await.unwrap();
    let mut keepalive = nephoscope_pool::etcd::LeaseKeepAlive::new(store.clone(), lease);
    keepalive.renew().await.unwrap();
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    for (silent, fair) in [(0, 1), (1, 0)] {
        proxies[fair].set(Network::Normal);
        proxies[silent].set(Network::HalfOpen);
        keepalive.renew().await.unwrap();
        etcd.write("p/a", format!("{silent} is silent"));
        assert_eq!(
            text(&changes(&mut follow).await),
            [format!("p/a={silent} is silent")]
        );
    }
}

#[tokio::test]
async fn changes_that_were_compacted_while_disconnected_cause_a_new_snapshot() {
    let etcd = Etcd::start();
    let proxy = Proxy::to(etcd.nodes[0].port);
    let store = Store::new(options(vec![etcd.url(proxy.port)]));
    etcd.write("p/a", "1");
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    proxy.set(Network::Cut);
    broken(&mut follow).await;
    etcd.delete("p/a");
    etcd.write("p/b", "2");
    etcd.write("p/b", "3");
    etcd.compact();
    proxy.set(Network::Normal);
    let again = snapshot(&mut follow).await;
    assert_eq!(keys(&again), ["p/b"]);
    assert_eq!(again.entries[0].value, b"3");
    etcd.write("p/c", "4");
    assert_eq!(text(&changes(&mut follow).await), ["p/c=4"]);
}

#[tokio::test]
async fn a_flood_of_changes_arrives_completely_at_a_slow_receiver() {
    let etcd = Etcd::start();
    let store = store(&etcd);
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    // Sixty megabytes in large steps: more than the queue and the connection's windows can buffer, and more than one
    // message may contain.
    etcd.with(|mut client| async move {
        for number in 0..60 {
            client
                .put(format!("p/{number:02}"), vec![b'x'; 1_000_000], None)
                .await?;
        }
        Ok(())
    });
    let mut seen = 0;
    while seen < 60 {
        seen += changes(&mut follow).await.len();
    }
    assert_eq!(seen, 60);
}
