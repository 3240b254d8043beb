//! Calls to a healthy etcd.

use nephoscope_pool::etcd::{Condition, Outcome, Read, Store, StoreError, Transaction, Write};
use nephoscope_tests::Etcd;

use crate::stores::{keys, options, store};

fn put(key: &str, value: &str) -> Write {
    Write::Put {
        key: key.into(),
        value: value.into(),
        lease: None,
    }
}

#[tokio::test]
async fn writes_are_read_back_and_transactions_check_their_conditions() {
    let etcd = Etcd::start();
    let store = store(&etcd);
    assert_eq!(store.cluster(), None, "nothing is opened before the first call");
    assert_eq!(store.get(b"p/a").await.unwrap().value, None);
    let first = store.put(b"p/a", b"1", None).await.unwrap();
    let entry = store.get(b"p/a").await.unwrap().value.unwrap();
    assert_eq!(
        (entry.value.as_slice(), entry.created, entry.modified, entry.lease),
        (&b"1"[..], first, first, 0)
    );
    assert!(store.cluster().is_some());

    let change = |condition, value| Transaction {
        conditions: vec![condition, Condition::CreatedAt("p/a".into(), first)],
        writes: vec![put("p/a", value), put("p/b", value)],
        otherwise: vec![Read("p/a".into()), Read("p/none".into())],
    };
    let done = store
        .transact(change(Condition::ModifiedAt("p/a".into(), first), "2"))
        .await
        .unwrap();
    assert_eq!(done.value, Outcome::Done);
    let entry = store.get(b"p/b").await.unwrap().value.unwrap();
    assert_eq!(entry.modified, done.revision);
    for condition in [
        Condition::ModifiedAt("p/a".into(), first),
        Condition::Absent("p/a".into()),
        Condition::Holds("p/a".into(), "1".into()),
    ] {
        let rejected = store.transact(change(condition, "3")).await.unwrap().value;
        let Outcome::Rejected(read) = rejected else {
            panic!("done: {rejected:?}");
        };
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].as_ref().unwrap().value, b"2");
        assert_eq!(read[1], None);
    }
    let removed = Transaction {
        conditions: vec![
            Condition::Holds("p/a".into(), "2".into()),
            Condition::Absent("p/none".into()),
        ],
        writes: vec![Write::Delete("p/a".into())],
        ..Transaction::default()
    };
    assert_eq!(store.transact(removed).await.unwrap().value, Outcome::Done);
    assert_eq!(keys(&store.range(b"p/").await.unwrap()), ["p/b"]);
}

#[tokio::test]
async fn a_range_of_many_pages_is_consistent_and_an_unbounded_range_is_rejected() {
    let etcd = Etcd::start();
    let store = store(&etcd);
    etcd.with(|mut client| async move {
        for batch in 0..25 {
            let put = |number| etcd_client::TxnOp::put(format!("p/{batch:02}-{number:03}"), "v", None);
            client
                .txn(etcd_client::Txn::new().and_then((0..100).map(put).collect::<Vec<_>>()))
                .await?;
        }
        client.put("q", "another prefix", None).await
    });
    let snapshot = store.range(b"p/").await.unwrap();
    assert_eq!(snapshot.entries.len(), 2500);
    assert!(snapshot.entries.is_sorted_by_key(|entry| &entry.key));

    // Each page of a thousand keys would exceed the message limit by far.
    etcd.with(|mut client| async move {
        for number in 0..70 {
            client
                .put(format!("large/{number:02}"), vec![b'x'; 1_000_000], None)
                .await?;
        }
        Ok(())
    });
    let error = store.range(b"large/").await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    let part = store.range(b"large/0").await.unwrap();
    assert_eq!(part.entries.len(), 10);
}

#[tokio::test]
async fn health_has_the_size_of_the_database() {
    let etcd = Etcd::start();
    let health = store(&etcd).health().await.unwrap();
    assert!(health.has_leader && !health.no_space, "{health:?}");
    assert!(
        health.database_bytes >= health.used_bytes && health.used_bytes > 0,
        "{health:?}"
    );
    assert_eq!(health.endpoint, etcd.endpoints()[0]);
}

#[tokio::test]
async fn a_store_without_endpoints_returns_an_error() {
    let error = Store::new(options(Vec::new())).get(b"p").await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
}
