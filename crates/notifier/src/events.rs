//! Counts and log lines of publishers.
//!
//! Every sample is counted. A log line is written when a state changes: ERROR when samples are lost, WARN when no sample is
//! lost yet, INFO on recovery.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

/// Counts since the publisher was started. At every moment, in samples and in batches,
/// `submitted + recovered = delivered + dropped + rejected + queued + spooled`. `recovered` is the content of its spool at the
/// opening and `spooled` the current content (both 0 without a spool).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Samples submitted by cycles.
    pub submitted_samples: u64,
    /// Batches submitted by cycles.
    pub submitted_batches: u64,
    /// Samples that the publisher has delivered.
    pub delivered_samples: u64,
    /// Batches that the publisher has delivered, including those with some rejected samples.
    pub delivered_batches: u64,
    /// Samples that were lost: dropped at a limit of the queue or the spool, corrupt in the spool, or left over when the
    /// publisher was stopped.
    pub dropped_samples: u64,
    /// Batches of these samples.
    pub dropped_batches: u64,
    /// Samples that the destination rejected permanently.
    pub rejected_samples: u64,
    /// Batches that the destination rejected permanently as a whole.
    pub rejected_batches: u64,
    /// Failed publishes that are retried, timeouts and panics included.
    pub retries: u64,
    /// Publishes that timed out.
    pub timeouts: u64,
    /// Publishes in which the publisher panicked.
    pub panics: u64,
}

impl Counts {
    pub(crate) fn submit(&mut self, samples: usize) {
        self.submitted_samples += samples as u64;
        self.submitted_batches += 1;
    }

    pub(crate) fn deliver(&mut self, samples: usize) {
        self.delivered_samples += samples as u64;
        self.delivered_batches += 1;
    }

    pub(crate) fn drop(&mut self, samples: usize) {
        self.dropped_samples += samples as u64;
        self.dropped_batches += 1;
    }

    pub(crate) fn reject(&mut self, samples: usize) {
        self.rejected_samples += samples as u64;
        self.rejected_batches += 1;
    }

    /// The destination accepted the rest of the batch, which counts as delivered.
    pub(crate) fn reject_part(&mut self, samples: usize) {
        self.rejected_samples += samples as u64;
    }

    pub(crate) fn retry(&mut self, fault: Fault) {
        self.retries += 1;
        match fault {
            Fault::Error => {}
            Fault::TimedOut => self.timeouts += 1,
            Fault::Panicked => self.panics += 1,
        }
    }
}

/// The cause of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The publisher returned an error.
    Error,
    /// The publish timed out.
    TimedOut,
    /// The publisher panicked.
    Panicked,
}

/// A state change of a publisher that is logged.
#[derive(Debug)]
#[must_use = "events are created under a lock and must be emitted after its release"]
pub(crate) enum Event {
    /// The destination is unreachable or busy; samples are queued.
    RetryingBegan { attempts: u32, error: Arc<str> },
    /// The publisher delivers again.
    RetryingEnded { after: Duration, attempts: u32 },
    /// The queue is full and the oldest samples are dropped.
    DroppingBegan { bound: usize, error: Option<Arc<str>> },
    /// No more samples are dropped.
    DroppingEnded { after: Duration, samples: u64 },
    /// The destination rejects samples permanently.
    RejectingBegan { reason: String },
    /// The destination accepts samples again.
    RejectingEnded { after: Duration, samples: u64 },
    /// The publisher was stopped before its queue was empty.
    Abandoned { samples: u64, batches: u64 },
    /// Samples were submitted after the publisher had stopped.
    SubmittedAfterStop,
    /// A reload replaced the publisher; its successor takes over the queue.
    Replaced { queued: usize },
    /// The publisher's `close` panicked or timed out.
    NotClosed,
    /// The publisher panicked or timed out in a run hook.
    RunHookFailed,
    /// The publisher has no encoding, so that the spool cannot store its batches.
    NoEncoding,
}

impl Event {
    /// Writes the log line.
    pub(crate) fn emit(&self, publisher: &str) {
        match self {
            Event::RetryingBegan { attempts, error } => {
                warn!(
                    publisher,
                    attempts,
                    error = &**error,
                    "cannot deliver: samples stay queued and are retried"
                );
            }
            Event::RetryingEnded { after, attempts } => {
                info!(publisher, seconds = seconds(*after), attempts, "delivery resumed");
            }
            Event::DroppingBegan {
                bound,
                error: Some(error),
            } => {
                error!(
                    publisher,
                    bound,
                    error = &**error,
                    "samples are lost: the queue is full and drops its oldest samples"
                );
            }
            Event::DroppingBegan { bound, error: None } => {
                error!(
                    publisher,
                    bound,
                    "samples are lost: the publisher does not answer, and its full queue drops the oldest samples"
                );
            }
            Event::DroppingEnded { after, samples } => {
                error!(
                    publisher,
                    seconds = seconds(*after),
                    samples,
                    "samples were lost: the queue no longer drops samples"
                );
            }
            Event::RejectingBegan { reason } => {
                error!(
                    publisher,
                    reason = &**reason,
                    "samples are lost: the destination rejects them permanently"
                );
            }
            Event::RejectingEnded { after, samples } => {
                error!(
                    publisher,
                    seconds = seconds(*after),
                    samples,
                    "samples were lost: the destination accepts samples again"
                );
            }
            Event::Abandoned { samples, batches } => {
                error!(
                    publisher,
                    samples,
                    batches,
                    "samples are lost: the publisher was stopped before its queue was empty"
                );
            }
            Event::SubmittedAfterStop => {
                error!(
                    publisher,
                    "samples are lost: they were submitted after the publisher was stopped"
                );
            }
            Event::Replaced { queued } => {
                info!(
                    publisher,
                    queued, "publisher replaced by a reload; the queue is kept"
                );
            }
            Event::NoEncoding => {
                error!(
                    publisher,
                    "the spool is not used: this type of publisher has no encoding to store batches in"
                );
            }
            Event::RunHookFailed => {
                warn!(publisher, "the publisher panicked or timed out in a run hook");
            }
            Event::NotClosed => {
                warn!(publisher, "closing the publisher panicked or timed out");
            }
        }
    }
}

/// Seconds with millisecond precision.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// Logs meters without a publisher. `more` is the number of further ones.
pub(crate) fn unrouted_meters(meters: &str, more: usize) {
    warn!(
        meters,
        more, "no publisher accepts these meters: their samples are counted as filtered"
    );
}

/// Logs that no publisher accepts events.
pub(crate) fn unrouted_events() {
    warn!("no publisher accepts these events: they are counted as filtered");
}
