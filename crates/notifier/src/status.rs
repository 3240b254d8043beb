//! The status of publishers for the admin API, and the report of a stop.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Histogram;
use tokio::time::Instant;

use crate::events::Counts;
use crate::spool::SpoolStatus;

/// The status of a publisher and its queue.
#[derive(Debug, Clone)]
pub struct PublisherStatus {
    /// Its name in polling.yaml.
    pub name: Arc<str>,
    /// Its URL, userinfo as `***`.
    pub url_shown: String,
    /// Its current state.
    pub state: PublisherState,
    /// The limit on samples in its queue.
    pub bound: usize,
    /// Samples that only the queue holds (not the spool), in-flight ones included.
    pub queued_samples: usize,
    /// Batches that only the queue holds (not the spool), in-flight ones included.
    pub queued_batches: usize,
    /// The age of the oldest batch in the queue.
    pub oldest_age: Option<Duration>,
    /// The status of its spool, if it has one.
    pub spool: Option<SpoolStatus>,
    /// Its counts since it was started.
    pub counts: Counts,
    /// The durations of delivery attempts, failed attempts included.
    pub publish_durations: Histogram,
}

/// The state of a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublisherState {
    /// Its queue is empty.
    Idle,
    /// It delivers.
    Delivering,
    /// Publishes fail; the queued batches are retried.
    Retrying {
        /// The time of the first failure.
        since: Instant,
        /// The last error.
        error: Arc<str>,
        /// Consecutive failures.
        attempts: u32,
    },
    /// Its queue is full and makes no progress: the oldest samples are dropped until it delivers.
    Blocked {
        /// Since when it counts as blocked.
        since: Instant,
        /// The last error, if the publisher returned one.
        error: Option<Arc<str>>,
        /// Consecutive failures.
        attempts: u32,
        /// Samples dropped in the current episode of losses.
        dropped: u64,
    },
    /// A reload or the stop of the agent drains its queue.
    Draining {
        /// When the remaining batches are dropped.
        until: Instant,
    },
    /// It has stopped.
    Stopped,
}

/// The report of a stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// One for each publisher.
    pub publishers: Vec<PublisherEnd>,
}

impl ShutdownReport {
    /// The number of samples that were still queued at the deadline and are lost.
    pub fn dropped_samples(&self) -> u64 {
        self.publishers.iter().map(|end| end.dropped_samples).sum()
    }
}

/// The end of a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherEnd {
    /// Its name in polling.yaml.
    pub name: Arc<str>,
    /// Samples that were still queued at the deadline and are lost. An in-flight one may have arrived.
    pub dropped_samples: u64,
    /// Batches of these samples.
    pub dropped_batches: u64,
    /// Whether it closed in time and without a panic.
    pub closed: bool,
}
