//! Stores for tests, and helpers that wait for their events.

use std::future::Future;
use std::time::Duration;

use nephoscope_pool::etcd::{
    Change, Follow, FollowEvent, Snapshot, Store, StoreError, StoreOptions, TlsFiles,
};
use nephoscope_tests::{Etcd, PATIENCE};
use tokio::time::timeout;

/// The time limit of one call. Longer than an agent's default, for a busy machine.
pub(crate) const REQUEST: Duration = Duration::from_secs(3);

pub(crate) fn options(endpoints: Vec<String>) -> StoreOptions {
    StoreOptions {
        endpoints,
        user: None,
        tls: TlsFiles::default(),
        request_timeout: REQUEST,
        connect_timeout: Duration::from_secs(10),
    }
}

pub(crate) fn store(etcd: &Etcd) -> Store {
    Store::new(options(etcd.endpoints()))
}

/// Waits for a future that must complete.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited for {what}"))
}

/// Repeats a call until it succeeds.
pub(crate) async fn eventually<T, R>(what: &str, mut call: impl FnMut() -> R) -> T
where
    R: Future<Output = Result<T, StoreError>>,
{
    until(what, async || call().await.ok()).await
}

/// Repeats a call until it returns a value.
pub(crate) async fn until<T>(what: &str, mut call: impl AsyncFnMut() -> Option<T>) -> T {
    let calls = async {
        loop {
            if let Some(result) = call().await {
                return result;
            }
            // Yields to other tasks; the outcome of the next call decides.
            tokio::task::yield_now().await;
        }
    };
    soon(what, calls).await
}

/// Waits for a snapshot and skips other events.
pub(crate) async fn snapshot(follow: &mut Follow) -> Snapshot {
    let snapshot = async {
        loop {
            if let FollowEvent::Snapshot(snapshot) = follow.next().await.unwrap() {
                return snapshot;
            }
        }
    };
    soon("a snapshot", snapshot).await
}

/// Waits for changes; a snapshot is an error.
pub(crate) async fn changes(follow: &mut Follow) -> Vec<Change> {
    let changes = async {
        loop {
            match follow.next().await.unwrap() {
                FollowEvent::Changes(changes) => return changes,
                FollowEvent::Snapshot(snapshot) => panic!("read again: {snapshot:?}"),
                FollowEvent::Broken(_) | FollowEvent::Resumed => {}
            }
        }
    };
    soon("changes", changes).await
}

/// Waits until the watch is reported as broken.
pub(crate) async fn broken(follow: &mut Follow) -> StoreError {
    let broken = async {
        loop {
            if let FollowEvent::Broken(error) = follow.next().await.unwrap() {
                return error;
            }
        }
    };
    soon("the watch to break", broken).await
}

/// Formats the keys and values of puts, and the keys of deletions.
pub(crate) fn text(changes: &[Change]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let shown = changes.iter().map(|change| match change {
        Change::Put(entry) => format!("{}={}", text(&entry.key), text(&entry.value)),
        Change::Deleted { key, .. } => format!("{} is gone", text(key)),
    });
    shown.collect()
}

/// Returns the keys of a snapshot as text.
pub(crate) fn keys(snapshot: &Snapshot) -> Vec<String> {
    let keys = snapshot.entries.iter().map(|entry| entry.key.clone());
    keys.map(|key| String::from_utf8(key).unwrap()).collect()
}
