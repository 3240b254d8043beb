//! All entries under some prefixes and their changes: reads them once, watches them, and reads them again when needed.

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

/// The number of events that wait for the receiver. Further events stay in etcd: a slow receiver gets late events and loses
/// none.
pub const MAX_QUEUED_EVENTS: usize = 16;

/// The pauses between attempts to watch.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A subscription to some prefixes. Ends when it is dropped.
#[derive(Debug)]
pub struct Follow {
    events: mpsc::Receiver<FollowEvent>,
    task: AbortHandle,
}

/// An event of a subscription.
#[derive(Debug)]
pub enum FollowEvent {
    /// All entries, which are watched from now on. Sent first, and whenever changes may have been missed (a compacted
    /// revision, another etcd). An entry that is missing here is gone.
    Snapshot(Snapshot),
    /// Changes, in order.
    Changes(Vec<Change>),
    /// The watch is broken. Repeated with each failed attempt.
    Broken(StoreError),
    /// The watch works again, and missed no change.
    Resumed,
}

impl Follow {
    /// Waits for the next event. Cancel safe. Returns `None` only when the runtime ends.
    pub async fn next(&mut self) -> Option<FollowEvent> {
        self.events.recv().await
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Store {
    /// Subscribes to all keys that begin with one of `prefixes`, none of which contains another. Changes under one prefix
    /// arrive in order.
    pub fn follow(&self, prefixes: &[&[u8]]) -> Follow {
        let (sender, events) = mpsc::channel(MAX_QUEUED_EVENTS);
        let follower = Follower {
            history: self.history(),
            store: self.clone(),
            prefixes: prefixes.iter().map(|prefix| prefix.to_vec()).collect(),
            events: sender,
            number: 0,
            denied: false,
        };
        let task = tokio::spawn(follower.run()).abort_handle();
        Follow { events, task }
    }
}

struct Follower {
    store: Store,
    prefixes: Vec<Vec<u8>>,
    events: mpsc::Sender<FollowEvent>,
    /// Changes when etcd turns out to be another one.
    history: watch::Receiver<u64>,
    /// The generation of etcd that the seen revisions belong to.
    number: u64,
    /// Whether the last watch was rejected for lack of permission.
    denied: bool,
}

/// The receiver was dropped.
struct ReceiverDropped;

/// The last known revision under each prefix.
type Seen = Vec<Revision>;

/// The last known revisions, and the reason for the interruption. Without revisions, everything must be read again.
struct Interrupted {
    seen: Option<Seen>,
    error: StoreError,
}

/// An open watch.
struct OpenWatch {
    connection: Connection,
    stream: WatchStream,
    /// Responses that arrived while the watch was opened.
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
            let interrupted = match self.open_watch(seen).await {
                Ok((watch_state, snapshot)) => {
                    failures = 0;
                    let event = snapshot.map_or(FollowEvent::Resumed, FollowEvent::Snapshot);
                    if self.events.send(event).await.is_err() {
                        return;
                    }
                    match self.forward(watch_state).await {
                        Ok(interrupted) => interrupted,
                        Err(ReceiverDropped) => return,
                    }
                }
                Err(interrupted) => interrupted,
            };
            seen = interrupted.seen;
            if self
                .events
                .send(FollowEvent::Broken(interrupted.error))
                .await
                .is_err()
            {
                return;
            }
            failures += 1;
            sleep(backoff.pause(failures)).await;
        }
    }

    /// Reads everything unless changes are known up to `seen`, and opens a watch from there.
    async fn open_watch(&mut self, seen: Option<Seen>) -> Result<(OpenWatch, Option<Snapshot>), Interrupted> {
        let reread = |error| Interrupted { seen: None, error };
        let (snapshot, seen) = match seen {
            Some(seen) => (None, seen),
            None => {
                let snapshot = self.store.ranges(&self.prefixes).await.map_err(reread)?;
                let seen = vec![snapshot.revision; self.prefixes.len()];
                (Some(snapshot), seen)
            }
        };
        let resume = snapshot.is_none().then(|| seen.clone());
        let interrupted = |error| match error {
            StoreError::Compacted | StoreError::HistoryChanged { .. } => reread(error),
            error => Interrupted {
                seen: resume.clone(),
                error,
            },
        };
        let before = self.store.baseline();
        let opened = self
            .store
            .send(|client| open(client, &self.prefixes, &seen))
            .await;
        let (connection, (stream, early)) = opened.map_err(interrupted)?;
        for response in &early {
            if let Some(error) = self.rejection(&connection, response) {
                return Err(interrupted(error));
            }
            let revision = self
                .store
                .check(before, response.header(), false)
                .map_err(interrupted)?;
            if response.created() && seen.iter().any(|seen| revision < *seen) {
                // The member lags behind, or etcd was wiped: a watch from a future revision stays silent until that
                // revision.
                let key = self.prefixes.first().map_or(&[][..], Vec::as_slice);
                self.store.get(key).await.map_err(interrupted)?;
            }
        }
        self.denied = false;
        let watch_state = OpenWatch {
            connection,
            stream,
            early,
            seen,
        };
        Ok((watch_state, snapshot))
    }

    /// Forwards changes until the watch ends.
    async fn forward(&mut self, watch_state: OpenWatch) -> Result<Interrupted, ReceiverDropped> {
        let OpenWatch {
            connection,
            mut stream,
            early,
            mut seen,
        } = watch_state;
        let url = self.store.url(connection.endpoint).to_owned();
        let ended = |what: &str| StoreError::Unanswered {
            reason: format!("{url}: {what}"),
        };
        let mut early = early.into_iter();
        loop {
            let before = self.store.baseline();
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
                    let reason = "another call detected it".to_owned();
                    return Ok(Interrupted { seen: None, error: StoreError::HistoryChanged { reason } });
                }
                () = self.events.closed() => return Err(ReceiverDropped),
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
            if let Some(error) = self.rejection(&connection, &response) {
                let seen = (!matches!(error, StoreError::Compacted)).then_some(seen);
                return Ok(Interrupted { seen, error });
            }
            let changes = changes(&response);
            let watched = usize::try_from(response.watch_id() - 1).ok();
            if let Some(seen) = watched.and_then(|place| seen.get_mut(place)) {
                // If a change spans several messages, all of them must be seen again if the watch breaks in between. The
                // creation of a watch reports no change of its keys.
                let complete = !response.0.fragment && !response.created();
                let last = changes.last().map(Change::revision);
                let reached = last.or_else(|| response.header().map(|header| header.revision()));
                *seen = (*seen).max(reached.filter(|_| complete).unwrap_or(*seen));
            }
            if !changes.is_empty() && self.events.send(FollowEvent::Changes(changes)).await.is_err() {
                return Err(ReceiverDropped);
            }
        }
    }

    /// Returns the error with which etcd ends the watch, if it does.
    fn rejection(&mut self, connection: &Connection, response: &WatchResponse) -> Option<StoreError> {
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
            // etcd sends the same message for an expired token: a new connection has a new token.
            connection.broken.cancel();
            if std::mem::replace(&mut self.denied, true) {
                return Some(StoreError::PermissionDenied { reason });
            }
        }
        Some(StoreError::Unanswered { reason })
    }
}

/// Opens one stream with a watch for each prefix, numbered from 1 like the prefixes. Returns when all watches are open or
/// one is rejected.
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
                // Large changes span several messages, each within the client's limit.
                .with_fragment();
            (prefix.clone(), Some(options))
        });
    let (first, options) = watches.next().unwrap_or_default();
    let mut stream = client.watch(first, options).await?;
    for (prefix, options) in watches {
        stream.watch(prefix, options).await?;
    }
    let mut early = Vec::new();
    let mut opened = 0;
    while opened < prefixes.len() {
        let closed = || Error::WatchError("closed by etcd".to_owned());
        let response = stream.message().await?.ok_or_else(closed)?;
        opened += usize::from(response.created());
        let rejected = response.canceled();
        early.push(response);
        if rejected {
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
        // `event_type()` panics for an unknown type.
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
