//! What happens to samples on their way out: counts, and the log lines that go with them.
//!
//! Every sample is counted; log lines are written when a state changes. ERROR: samples were lost.
//! WARN: nothing is lost yet. INFO: it is over.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

/// Counts since the publisher was started. At every moment, in samples and in batches,
/// `submitted + recovered = delivered + dropped + refused + queued + spooled`: recovered is what its spool held when it
/// was opened, spooled what it holds now (0 without a spool).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Samples that cycles handed over.
    pub submitted_samples: u64,
    /// Batches that cycles handed over.
    pub submitted_batches: u64,
    /// Samples that the publisher has delivered.
    pub delivered_samples: u64,
    /// Batches that the publisher has delivered, in whole or but for samples that the other side refused.
    pub delivered_batches: u64,
    /// Samples that were lost: at the bound of the queue or of the spool, to damage of the spool, or left when the
    /// publisher was stopped.
    pub dropped_samples: u64,
    /// Batches of these samples.
    pub dropped_batches: u64,
    /// Samples that the other side refused for good.
    pub refused_samples: u64,
    /// Batches that the other side refused for good, in whole.
    pub refused_batches: u64,
    /// Publishes that failed and were, or will be, tried again; timeouts and panics included.
    pub retries: u64,
    /// Publishes that had no answer in time.
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

    pub(crate) fn refuse(&mut self, samples: usize) {
        self.refused_samples += samples as u64;
        self.refused_batches += 1;
    }

    /// The other side has taken the rest of the batch: as a batch it counts as delivered.
    pub(crate) fn refuse_part(&mut self, samples: usize) {
        self.refused_samples += samples as u64;
    }

    pub(crate) fn retry(&mut self, fault: Fault) {
        self.retries += 1;
        match fault {
            Fault::Answered => {}
            Fault::TimedOut => self.timeouts += 1,
            Fault::Panicked => self.panics += 1,
        }
    }
}

/// In which way a publish failed that will be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The publisher said so.
    Answered,
    /// There was no answer in time.
    TimedOut,
    /// The publisher panicked.
    Panicked,
}

/// A change of a publisher's state that is worth a log line.
#[derive(Debug)]
#[must_use = "events are found under a lock and emitted outside"]
pub(crate) enum Event {
    /// The publisher's place is away or busy; its samples wait.
    RetryingBegan { attempts: u32, error: Arc<str> },
    /// It delivers again.
    RetryingEnded { after: Duration, attempts: u32 },
    /// The queue is full and the oldest samples go.
    DroppingBegan { bound: usize, error: Option<Arc<str>> },
    /// Samples are no longer dropped.
    DroppingEnded { after: Duration, samples: u64 },
    /// The other side refuses samples for good.
    RefusingBegan { reason: String },
    /// The other side takes samples again.
    RefusingEnded { after: Duration, samples: u64 },
    /// The publisher has stopped, and samples were left.
    Abandoned { samples: u64, batches: u64 },
    /// Samples came after the publisher had stopped.
    CameTooLate,
    /// A reload has replaced the publisher; what was queued goes to the new one.
    Replaced { queued: usize },
    /// The publisher did not close properly.
    NotClosed,
    /// The publisher panics when it hears of a run, or does not return.
    Deaf,
    /// The publisher declares no encoding, so that nothing can be stored for it.
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
                    "cannot deliver: samples wait and are tried again"
                );
            }
            Event::RetryingEnded { after, attempts } => {
                info!(publisher, seconds = seconds(*after), attempts, "delivers again");
            }
            Event::DroppingBegan {
                bound,
                error: Some(error),
            } => {
                error!(
                    publisher,
                    bound,
                    error = &**error,
                    "samples are lost: the queue is full, its oldest samples are dropped"
                );
            }
            Event::DroppingBegan { bound, error: None } => {
                error!(
                    publisher,
                    bound,
                    "samples are lost: the queue is full and the publisher does not answer, its oldest samples are dropped"
                );
            }
            Event::DroppingEnded { after, samples } => {
                error!(
                    publisher,
                    seconds = seconds(*after),
                    samples,
                    "samples were lost: dropping from the queue has ended"
                );
            }
            Event::RefusingBegan { reason } => {
                error!(
                    publisher,
                    reason = &**reason,
                    "samples are lost: the other side refuses them for good"
                );
            }
            Event::RefusingEnded { after, samples } => {
                error!(
                    publisher,
                    seconds = seconds(*after),
                    samples,
                    "samples were lost: the other side takes samples again"
                );
            }
            Event::Abandoned { samples, batches } => {
                error!(
                    publisher,
                    samples,
                    batches,
                    "samples are lost: they were still queued when the publisher was stopped"
                );
            }
            Event::CameTooLate => {
                error!(
                    publisher,
                    "samples are lost: they came after the publisher was stopped"
                );
            }
            Event::Replaced { queued } => {
                info!(publisher, queued, "replaced by a reload; queued samples are kept");
            }
            Event::NoEncoding => {
                error!(
                    publisher,
                    "has a spool, but nothing can be stored for this kind of publisher: the spool is not used"
                );
            }
            Event::Deaf => {
                warn!(
                    publisher,
                    "panicked, or did not return in time, when it was told of a run"
                );
            }
            Event::NotClosed => {
                warn!(publisher, "did not close properly");
            }
        }
    }
}

/// Seconds with the decimals that a person wants.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// No publisher takes samples of these meters, and of so many more.
pub(crate) fn untaken_meters(meters: &str, more: usize) {
    warn!(
        meters,
        more, "no publisher takes these meters: their samples are counted as filtered"
    );
}

/// No publisher takes events.
pub(crate) fn untaken_events() {
    warn!("no publisher takes these events: they are counted as filtered");
}
