//! Everything under a prefix, and how it changes: read once, then watched, and read again where that is needed.

use std::time::Duration;

use etcd_client::{Client, Error, EventType, WatchOptions, WatchResponse, WatchStream};
use nephoscope_plugin::Backoff;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::endpoint::Connection;
use super::entry::{Change, Entry, Snapshot};
use super::error::StoreError;
use super::store::{Revision, Store};

/// How many news wait for who follows. When that many wait, no more are taken from etcd, which keeps them: a follower that is this slow
/// is told of its delay by the age of what it reads, not by a loss.
pub const MAX_WAITING_NEWS: usize = 16;

/// The pauses between attempts to watch.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What follows a prefix. Ends when it is dropped.
#[derive(Debug)]
pub struct Follow {
    news: mpsc::Receiver<News>,
    task: AbortHandle,
}

/// What is new under the prefix.
#[derive(Debug)]
pub enum News {
    /// Everything, from now on watched: at first, and whenever changes may have been missed (a revision that was compacted, another etcd).
    /// What is not in it is gone.
    Snapshot(Snapshot),
    /// What has changed, in order.
    Changes(Vec<Change>),
    /// Changes are not seen for now. Comes again with each attempt that fails.
    Broken(StoreError),
    /// Changes are seen again, and none was missed.
    Resumed,
}

impl Follow {
    /// What is new. Nothing is lost when it is not waited for to the end. It gives nothing only when the runtime ends.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Store {
    /// Follows all keys that begin with `prefix`.
    pub fn follow(&self, prefix: &[u8]) -> Follow {
        let (sender, news) = mpsc::channel(MAX_WAITING_NEWS);
        let follower = Follower {
            history: self.history(),
            store: self.clone(),
            prefix: prefix.to_vec(),
            news: sender,
            number: 0,
            denied: false,
        };
        let task = tokio::spawn(follower.run()).abort_handle();
        Follow { news, task }
    }
}

struct Follower {
    store: Store,
    prefix: Vec<u8>,
    news: mpsc::Sender<News>,
    /// Changes when etcd turns out to be another one.
    history: watch::Receiver<u64>,
    /// Of which etcd the revisions are that were seen.
    number: u64,
    /// Whether the last watch was refused for want of permission.
    denied: bool,
}

/// Nobody follows any more.
struct Over;

/// Up to where changes are known, and why no further.
struct Interrupted {
    seen: Option<Revision>,
    error: StoreError,
}

impl Follower {
    async fn run(mut self) {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut failures = 0;
        let mut seen = None;
        loop {
            let number = *self.history.borrow_and_update();
            if std::mem::replace(&mut self.number, number) != number {
                seen = None;
            }
            let interrupted = match self.stand(seen).await {
                Ok((connection, stream, revision, snapshot)) => {
                    failures = 0;
                    let news = snapshot.map_or(News::Resumed, News::Snapshot);
                    if self.news.send(news).await.is_err() {
                        return;
                    }
                    match self.read(connection, stream, revision).await {
                        Ok(interrupted) => interrupted,
                        Err(Over) => return,
                    }
                }
                Err(interrupted) => interrupted,
            };
            seen = interrupted.seen;
            if self.news.send(News::Broken(interrupted.error)).await.is_err() {
                return;
            }
            failures += 1;
            sleep(backoff.pause(failures)).await;
        }
    }

    /// Reads everything unless it is known up to `seen`, and opens a watch from there.
    async fn stand(
        &mut self,
        seen: Option<Revision>,
    ) -> Result<(Connection, WatchStream, Revision, Option<Snapshot>), Interrupted> {
        let anew = |error| Interrupted { seen: None, error };
        let (snapshot, seen) = match seen {
            Some(seen) => (None, seen),
            None => {
                let snapshot = self.store.range(&self.prefix).await.map_err(anew)?;
                let revision = snapshot.revision;
                (Some(snapshot), revision)
            }
        };
        let resume = snapshot.is_none().then_some(seen);
        let interrupted = |error| match error {
            StoreError::Compacted | StoreError::AnotherHistory { .. } => anew(error),
            error => Interrupted { seen: resume, error },
        };
        let before = self.store.before();
        let prefix = &self.prefix;
        let opened = self.store.ask(|mut client: Client| async move {
            let options = WatchOptions::new()
                .with_prefix()
                .with_start_revision(seen + 1)
                .with_progress_notify()
                // Large changes come in several messages, each within the client's limit.
                .with_fragment();
            let mut stream = client.watch(prefix.clone(), Some(options)).await?;
            let first = stream.message().await?;
            let first = first.ok_or_else(|| Error::WatchError("closed by etcd".to_owned()))?;
            Ok((stream, first))
        });
        let (connection, (stream, first)) = opened.await.map_err(interrupted)?;
        if let Some(error) = self.refused(&connection, &first) {
            return Err(interrupted(error));
        }
        self.denied = false;
        let revision = self
            .store
            .check(before, first.header(), false)
            .map_err(interrupted)?;
        if revision < seen {
            // A member that lags behind, or an etcd that has forgotten: a watch from a revision to come says nothing until it comes.
            self.store.get(&self.prefix).await.map_err(interrupted)?;
        }
        Ok((connection, stream, seen, snapshot))
    }

    /// Hands on changes until the watch ends.
    async fn read(
        &mut self,
        connection: Connection,
        mut stream: WatchStream,
        mut seen: Revision,
    ) -> Result<Interrupted, Over> {
        let url = self.store.url(connection.endpoint).to_owned();
        let ended = |what: &str| StoreError::Unanswered {
            reason: format!("{url}: {what}"),
        };
        loop {
            let before = self.store.before();
            let message = tokio::select! {
                message = stream.message() => message,
                () = connection.broken.cancelled() => Ok(None),
                Ok(()) = self.history.changed() => {
                    let reason = "another call has noticed".to_owned();
                    return Ok(Interrupted { seen: None, error: StoreError::AnotherHistory { reason } });
                }
                () = self.news.closed() => return Err(Over),
            };
            let response = match message {
                Ok(Some(response)) => response,
                Ok(None) => {
                    let error = ended("the connection broke");
                    return Ok(Interrupted {
                        seen: Some(seen),
                        error,
                    });
                }
                Err(error) => {
                    let error = self.store.failed(&connection, &error);
                    return Ok(Interrupted {
                        seen: Some(seen),
                        error,
                    });
                }
            };
            if let Err(error) = self.store.check(before, response.header(), false) {
                return Ok(Interrupted { seen: None, error });
            }
            if let Some(error) = self.refused(&connection, &response) {
                let seen = (!matches!(error, StoreError::Compacted)).then_some(seen);
                return Ok(Interrupted { seen, error });
            }
            let changes = changes(&response);
            // Of a change in several messages, all are to be seen again if the watch breaks between them.
            if !response.0.fragment {
                let last = changes.last().map(Change::revision);
                let reached = last.or_else(|| response.header().map(|header| header.revision()));
                seen = seen.max(reached.unwrap_or(seen));
            }
            if !changes.is_empty() && self.news.send(News::Changes(changes)).await.is_err() {
                return Err(Over);
            }
        }
    }

    /// Why etcd ends the watch, if it does.
    fn refused(&mut self, connection: &Connection, response: &WatchResponse) -> Option<StoreError> {
        if !response.canceled() {
            return None;
        }
        if response.compact_revision() > 0 {
            return Some(StoreError::Compacted);
        }
        let reason = format!(
            "{}: {}",
            self.store.url(connection.endpoint),
            response.cancel_reason()
        );
        if response.cancel_reason().contains("permission denied") {
            // etcd says the same of a token that has expired: a new connection has a new one.
            connection.broken.cancel();
            if std::mem::replace(&mut self.denied, true) {
                return Some(StoreError::PermissionDenied { reason });
            }
        }
        Some(StoreError::Unanswered { reason })
    }
}

impl Change {
    fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.modified,
            Self::Deleted { revision, .. } => *revision,
        }
    }
}

fn changes(response: &WatchResponse) -> Vec<Change> {
    let events = response.events().iter().filter_map(|event| {
        let entry = Entry::from(event.kv()?.clone());
        // Not `event_type()`, which panics at a kind that it does not know.
        match EventType::try_from(event.0.r#type) {
            Ok(EventType::Put) => Some(Change::Put(entry)),
            Ok(EventType::Delete) => Some(Change::Deleted {
                key: entry.key,
                revision: entry.modified,
            }),
            Err(_) => None,
        }
    });
    events.collect()
}
