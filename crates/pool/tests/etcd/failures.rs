//! An etcd that is full, wiped, restarted or replaced.

use std::time::Duration;

use nephoscope_pool::etcd::{LeaseKeepAlive, Renewal, StoreError};
use nephoscope_tests::Etcd;

use crate::stores::{changes, eventually, keys, snapshot, soon, store, text, until};

#[tokio::test]
async fn an_exceeded_quota_is_reported_and_writes_work_again_after_it_is_resolved() {
    let etcd = Etcd::build().quota(2 * 1024 * 1024).start();
    let store = store(&etcd);
    let (lease, _) = store.grant(Duration::from_secs(60)).await.unwrap();
    let mut keepalive = LeaseKeepAlive::new(store.clone(), lease);
    let error = soon("etcd to be full", async {
        for number in 0.. {
            if let Err(error) = store
                .put(format!("p/{number}").as_bytes(), &[b'x'; 200_000], None)
                .await
            {
                return error;
            }
        }
        unreachable!()
    });
    let error = error.await;
    assert!(
        matches!(error, StoreError::NoSpace) && !error.may_have_happened(),
        "{error}"
    );
    let health = store.health().await.unwrap();
    assert!(health.no_space, "{health:?}");
    // Reads and keepalives still work.
    assert!(!store.range(b"p/").await.unwrap().entries.is_empty());
    assert!(matches!(keepalive.renew().await.unwrap(), Renewal::Alive { .. }));

    etcd.with(|mut client| async move {
        let all = etcd_client::DeleteOptions::new().with_prefix();
        client.delete("p/", Some(all)).await?;
        let revision = client.get("p/", None).await?.header().unwrap().revision();
        let physical = etcd_client::CompactionOptions::new().with_physical();
        client.compact(revision, Some(physical)).await?;
        client.defragment().await?;
        let (kind, all) = (etcd_client::AlarmType::Nospace, etcd_client::AlarmAction::Get);
        for alarm in client.alarm(all, kind, None).await?.alarms() {
            let mut of = etcd_client::AlarmOptions::new();
            of.with_member(alarm.member_id());
            client
                .alarm(etcd_client::AlarmAction::Deactivate, kind, Some(of))
                .await?;
        }
        Ok(())
    });
    eventually("a write", || store.put(b"p/a", b"1", None)).await;
    assert!(!store.health().await.unwrap().no_space);
}

#[tokio::test]
async fn a_wiped_etcd_is_detected_and_used_from_then_on() {
    let mut etcd = Etcd::start();
    let store = store(&etcd);
    for _ in 0..10 {
        store.put(b"p/old", b"1", None).await.unwrap();
    }
    let (lease, _) = store.grant(Duration::from_secs(60)).await.unwrap();
    let mut keepalive = LeaseKeepAlive::new(store.clone(), lease);
    keepalive.renew().await.unwrap();
    let mut follow = store.follow(&[b"p/"]);
    assert_eq!(keys(&snapshot(&mut follow).await), ["p/old"]);
    let cluster = store.cluster();
    etcd.wipe();
    // Its cluster id is unchanged: its smaller revision reveals it.
    let error = until("the wiped etcd to be detected", async || {
        store.get(b"p/old").await.err().filter(is_another)
    })
    .await;
    assert_eq!(store.cluster(), cluster);
    assert!(error.to_string().contains("revision"), "{error}");
    assert_eq!(store.get(b"p/old").await.unwrap().value, None);
    assert_eq!(
        keys(&snapshot(&mut follow).await),
        [""; 0],
        "the old keys are gone in the subscription"
    );
    assert_eq!(
        until("a keepalive", async || keepalive.renew().await.ok()).await,
        Renewal::Gone
    );
    store.put(b"p/new", b"2", None).await.unwrap();
    assert_eq!(text(&changes(&mut follow).await), ["p/new=2"]);
}

#[tokio::test]
async fn a_subscription_alone_detects_a_wiped_etcd() {
    let mut etcd = Etcd::start();
    for _ in 0..10 {
        etcd.write("p/old", "1");
    }
    let mut follow = store(&etcd).follow(&[b"p/"]);
    snapshot(&mut follow).await;
    etcd.wipe();
    assert_eq!(keys(&snapshot(&mut follow).await), [""; 0]);
}

#[tokio::test]
async fn another_cluster_at_the_same_address_is_detected() {
    let mut etcd = Etcd::start();
    let store = store(&etcd);
    store.put(b"p/old", b"1", None).await.unwrap();
    let cluster = store.cluster().unwrap();
    etcd.exchange();
    let error = until("the other cluster to be detected", async || {
        store.get(b"p/old").await.err().filter(is_another)
    })
    .await;
    assert!(error.to_string().contains(&format!("{cluster:016x}")), "{error}");
    assert_ne!(store.cluster(), Some(cluster));
    store.put(b"p/new", b"2", None).await.unwrap();
}

#[tokio::test]
async fn a_restarted_etcd_is_the_same_one() {
    let mut etcd = Etcd::start();
    let store = store(&etcd);
    let (lease, _) = store.grant(Duration::from_secs(60)).await.unwrap();
    store.put(b"p/a", b"1", Some(lease)).await.unwrap();
    let mut keepalive = LeaseKeepAlive::new(store.clone(), lease);
    keepalive.renew().await.unwrap();
    let mut follow = store.follow(&[b"p/"]);
    snapshot(&mut follow).await;
    etcd.kill_all();
    etcd.start_all();
    assert!(matches!(
        until("a keepalive", async || keepalive.renew().await.ok()).await,
        Renewal::Alive { .. }
    ));
    eventually("a write", || store.put(b"p/a", b"2", Some(lease))).await;
    assert_eq!(text(&changes(&mut follow).await), ["p/a=2"]);
}

fn is_another(error: &StoreError) -> bool {
    matches!(error, StoreError::HistoryChanged { .. })
}
