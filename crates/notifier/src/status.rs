//! What the admin API shows of publishers, and what a stop reports.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Histogram;
use tokio::time::Instant;

use crate::events::Counts;
use crate::spool::SpoolStatus;

/// A publisher and its queue at one moment.
#[derive(Debug, Clone)]
pub struct PublisherStatus {
    /// Its name in polling.yaml.
    pub name: Arc<str>,
    /// Its URL, userinfo as `***`.
    pub url_shown: String,
    /// What it is doing.
    pub state: PublisherState,
    /// How many samples its queue may hold.
    pub bound: usize,
    /// Samples that are held for it in memory and nowhere else, those under way included.
    pub queued_samples: usize,
    /// Batches that are held for it in memory and nowhere else, those under way included.
    pub queued_batches: usize,
    /// How long the oldest of them has been held.
    pub oldest: Option<Duration>,
    /// What its spool holds, if it has one.
    pub spool: Option<SpoolStatus>,
    /// What became of samples since it was started.
    pub counts: Counts,
    /// The durations of delivery attempts, failed attempts included.
    pub publish_durations: Histogram,
}

/// What a publisher is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublisherState {
    /// Nothing is held for it.
    Idle,
    /// It delivers.
    Delivering,
    /// It could not deliver; what is queued is tried again.
    Retrying {
        /// When it failed first.
        since: Instant,
        /// Why it failed last.
        error: Arc<str>,
        /// Failures in a row.
        attempts: u32,
    },
    /// Its queue was full and nothing was taken: the oldest samples are dropped until it delivers.
    Blocked {
        /// When its queue was given up.
        since: Instant,
        /// Why it failed last, if it said anything at all.
        error: Option<Arc<str>>,
        /// Failures in a row.
        attempts: u32,
        /// Samples that were dropped since losses began.
        dropped: u64,
    },
    /// A reload or the end of the agent stops it; its queue is being emptied.
    Draining {
        /// When what is left will be dropped.
        until: Instant,
    },
    /// It has stopped.
    Stopped,
}

/// What became of the queues at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// One for each publisher.
    pub publishers: Vec<PublisherEnd>,
}

impl ShutdownReport {
    /// Samples that were still held for some publisher at the deadline, and are lost.
    pub fn dropped_samples(&self) -> u64 {
        self.publishers.iter().map(|end| end.dropped_samples).sum()
    }
}

/// How a publisher ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherEnd {
    /// Its name in polling.yaml.
    pub name: Arc<str>,
    /// Samples that were still held at the deadline, and are lost. One that was under way may have arrived.
    pub dropped_samples: u64,
    /// Batches of these samples.
    pub dropped_batches: u64,
    /// Whether it closed in time and without a panic.
    pub closed: bool,
}
