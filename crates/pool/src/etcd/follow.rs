//! Everything under some prefixes, and how it changes: read once, then watched, and read again where that is needed.

use std::time::Duration;

use etcd_client::{Client, Error, EventType, WatchOptions, WatchResponse, WatchStream};
use nephoscope_plugin::Backoff;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::endpoint::Connection;
use super::entry::{Change, Entry, Snapshot};
use super::error::StoreError;
use super::numbers::Revision;
use super::store::Store;

/// How many news wait for who follows. When that many wait, no more are taken from etcd, which keeps them: a follower that is this slow
/// is told of its delay by the age of what it reads, not by a loss.
pub const MAX_WAITING_NEWS: usize = 16;

/// The pauses between attempts to watch.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What follows some prefixes. Ends when it is dropped.
#[derive(Debug)]
pub struct Follow {
    news: mpsc::Receiver<News>,
    task: AbortHandle,
}

/// What is new under the prefixes.
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
    /// Follows all keys that begin with one of `prefixes`, none of which is part of another. Changes under one prefix come in order.
    pub fn follow(&self, prefixes: &[&[u8]]) -> Follow {
        let (sender, news) = mpsc::channel(MAX_WAITING_NEWS);
        let follower = Follower {
            history: self.history(),
            store: self.clone(),
            prefixes: prefixes.iter().map(|prefix| prefix.to_vec()).collect(),
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
    prefixes: Vec<Vec<u8>>,
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

/// Up to which revision the changes under each prefix are known.
type Seen = Vec<Revision>;

/// Up to where changes are known, and why no further. Without the former, everything is to be read anew.
struct Interrupted {
    seen: Option<Seen>,
    error: StoreError,
}

/// A watch that stands.
struct Standing {
    connection: Connection,
    stream: WatchStream,
    /// What came while it was set up.
    early: Vec<WatchResponse>,
    seen: Seen,
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
                Ok((standing, snapshot)) => {
                    failures = 0;
                    let news = snapshot.map_or(News::Resumed, News::Snapshot);
                    if self.news.send(news).await.is_err() {
                        return;
                    }
                    match self.read(standing).await {
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
    async fn stand(&mut self, seen: Option<Seen>) -> Result<(Standing, Option<Snapshot>), Interrupted> {
        let anew = |error| Interrupted { seen: None, error };
        let (snapshot, seen) = match seen {
            Some(seen) => (None, seen),
            None => {
                let snapshot = self.store.ranges(&self.prefixes).await.map_err(anew)?;
                let seen = vec![snapshot.revision; self.prefixes.len()];
                (Some(snapshot), seen)
            }
        };
        let resume = snapshot.is_none().then(|| seen.clone());
        let interrupted = |error| match error {
            StoreError::Compacted | StoreError::AnotherHistory { .. } => anew(error),
            error => Interrupted {
                seen: resume.clone(),
                error,
            },
        };
        let before = self.store.before();
        let opened = self.store.ask(|client| open(client, &self.prefixes, &seen)).await;
        let (connection, (stream, early)) = opened.map_err(interrupted)?;
        for response in &early {
            if let Some(error) = self.refused(&connection, response) {
                return Err(interrupted(error));
            }
            let revision = self
                .store
                .check(before, response.header(), false)
                .map_err(interrupted)?;
            if response.created() && seen.iter().any(|seen| revision < *seen) {
                // A member that lags behind, or an etcd that has forgotten: a watch from a revision to come says nothing until it comes.
                let key = self.prefixes.first().map_or(&[][..], Vec::as_slice);
                self.store.get(key).await.map_err(interrupted)?;
            }
        }
        self.denied = false;
        let standing = Standing {
            connection,
            stream,
            early,
            seen,
        };
        Ok((standing, snapshot))
    }

    /// Hands on changes until the watch ends.
    async fn read(&mut self, standing: Standing) -> Result<Interrupted, Over> {
        let Standing {
            connection,
            mut stream,
            early,
            mut seen,
        } = standing;
        let url = self.store.url(connection.endpoint).to_owned();
        let ended = |what: &str| StoreError::Unanswered {
            reason: format!("{url}: {what}"),
        };
        let mut early = early.into_iter();
        loop {
            let before = self.store.before();
            let next = async {
                match early.next() {
                    Some(response) => Ok(Some(response)),
                    None => stream.message().await,
                }
            };
            let message = tokio::select! {
                message = next => message,
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
            let watched = usize::try_from(response.watch_id() - 1).ok();
            if let Some(seen) = watched.and_then(|place| seen.get_mut(place)) {
                // Of a change in several messages, all are to be seen again if the watch breaks between them. What a new watch
                // says of itself is no news of its keys.
                let complete = !response.0.fragment && !response.created();
                let last = changes.last().map(Change::revision);
                let reached = last.or_else(|| response.header().map(|header| header.revision()));
                *seen = (*seen).max(reached.filter(|_| complete).unwrap_or(*seen));
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

/// Opens one stream with a watch of each prefix, whose numbers are those of the prefixes, from 1. Ends when all stand, or one is refused.
async fn open(
    mut client: Client,
    prefixes: &[Vec<u8>],
    seen: &[Revision],
) -> Result<(WatchStream, Vec<WatchResponse>), Error> {
    let mut watches = prefixes
        .iter()
        .zip(seen)
        .zip(1..)
        .map(|((prefix, seen), number)| {
            let options = WatchOptions::new()
                .with_prefix()
                .with_start_revision(seen + 1)
                .with_watch_id(number)
                .with_progress_notify()
                // Large changes come in several messages, each within the client's limit.
                .with_fragment();
            (prefix.clone(), Some(options))
        });
    let (first, options) = watches.next().unwrap_or_default();
    let mut stream = client.watch(first, options).await?;
    for (prefix, options) in watches {
        stream.watch(prefix, options).await?;
    }
    let mut early = Vec::new();
    let mut standing = 0;
    while standing < prefixes.len() {
        let closed = || Error::WatchError("closed by etcd".to_owned());
        let response = stream.message().await?.ok_or_else(closed)?;
        standing += usize::from(response.created());
        let refused = response.canceled();
        early.push(response);
        if refused {
            break;
        }
    }
    Ok((stream, early))
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
