//! The log lines of a spool, one for each state change.

use std::io;

use tracing::{error, info, warn};

use super::mailbox::Dropped;

/// A state change that is logged.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// The spool holds batches of an earlier process.
    Recovered { batches: u64, samples: u64 },
    /// A crash left an incomplete record at the end.
    TruncatedEnd { bytes: u64 },
    /// The disk rejects writes.
    FailingBegan { error: &'a str },
    /// The disk accepts writes again.
    FailingEnded,
    /// A sync failed; its batches may not be durable.
    NotSynced { batches: usize, error: io::Error },
    /// A read failed.
    NotRead { error: io::Error },
    /// The oldest batches are dropped at a limit.
    DroppingBegan,
    /// Batches are no longer dropped.
    DroppingEnded { samples: u64 },
    /// An operator dropped old batches.
    DroppedManually { dropped: Dropped },
    /// The spool holds batches whose encodings the publisher does not accept.
    UnsupportedBegan {
        encodings: &'a str,
        batches: u64,
        samples: u64,
    },
    /// The spool no longer holds such batches.
    UnsupportedEnded,
    /// Batches were corrupt or missing.
    Corrupt { batches: u64, samples: u64 },
    /// A rejected batch could not be written to the dead letters.
    DeadLetterFailed { error: io::Error },
}

impl Event<'_> {
    /// Writes the log line.
    pub(super) fn emit(&self, publisher: &str) {
        match self {
            Event::Recovered { batches, samples } => {
                info!(
                    publisher,
                    batches, samples, "the spool holds samples of an earlier process"
                );
            }
            Event::TruncatedEnd { bytes } => {
                warn!(
                    publisher,
                    bytes,
                    "a crash left an incomplete record at the end of the spool, which was truncated; no synced record is affected"
                );
            }
            Event::FailingBegan { error } => {
                warn!(
                    publisher,
                    error, "cannot write to the spool: samples stay in memory"
                );
            }
            Event::FailingEnded => {
                info!(publisher, "the spool is writable again");
            }
            Event::NotSynced { batches, error } => {
                error!(
                    publisher,
                    batches, %error, "cannot sync the spool: a power failure may lose samples"
                );
            }
            Event::NotRead { error } => {
                warn!(publisher, %error, "cannot read the spool; retrying");
            }
            Event::DroppingBegan => {
                error!(
                    publisher,
                    "samples are lost: the spool is at its size or age limit and drops its oldest samples"
                );
            }
            Event::DroppingEnded { samples } => {
                error!(
                    publisher,
                    samples, "samples were lost: the spool no longer drops samples"
                );
            }
            Event::DroppedManually {
                dropped: Dropped { batches, samples },
            } => {
                warn!(
                    publisher,
                    batches, samples, "an operator dropped samples from the spool"
                );
            }
            Event::UnsupportedBegan {
                encodings,
                batches,
                samples,
            } => {
                warn!(
                    publisher,
                    encodings,
                    batches,
                    samples,
                    "the spool holds samples in encodings that the publisher does not accept: configure a publisher that does, or drop them with `nephoscope spool`"
                );
            }
            Event::UnsupportedEnded => {
                info!(
                    publisher,
                    "the spool no longer holds samples in encodings that the publisher does not accept"
                );
            }
            Event::Corrupt { batches, samples } => {
                error!(
                    publisher,
                    batches, samples, "samples are lost: their records on the disk are corrupt or missing"
                );
            }
            Event::DeadLetterFailed { error } => {
                error!(
                    publisher,
                    %error, "cannot write rejected samples to the dead letters"
                );
            }
        }
    }
}
