//! What a spool writes to the log: one line when something changes.

use std::io;

use tracing::{error, info, warn};

use super::port::Dropped;

/// A change that is worth a log line.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// The process before has left batches.
    Recovered { batches: u64, samples: u64 },
    /// What a crash has left at the end is no batch.
    TornEnd { bytes: u64 },
    /// The disk takes nothing.
    FailingBegan { error: &'a str },
    /// It takes batches again.
    FailingEnded,
    /// What counted on a sync is not safe.
    NotSynced { batches: usize, error: io::Error },
    /// The disk does not give what it holds.
    NotRead { error: io::Error },
    /// The oldest batches go at a bound.
    DroppingBegan,
    /// They no longer do.
    DroppingEnded { samples: u64 },
    /// Somebody has told the agent to drop old batches.
    DroppedByHand { dropped: Dropped },
    /// Batches stay where they are, since the publisher does not take their encodings.
    KeepingBegan {
        encodings: &'a str,
        batches: u64,
        samples: u64,
    },
    /// There are no such batches any more.
    KeepingEnded,
    /// Batches were damaged or missing.
    Damaged { batches: u64, samples: u64 },
    /// A batch that was refused is not in the quarantine.
    NotSetAside { error: io::Error },
}

impl Event<'_> {
    /// Writes the log line.
    pub(super) fn emit(&self, publisher: &str) {
        match self {
            Event::Recovered { batches, samples } => {
                info!(
                    publisher,
                    batches, samples, "the spool holds samples of an earlier run"
                );
            }
            Event::TornEnd { bytes } => {
                warn!(
                    publisher,
                    bytes,
                    "the end of the spool was torn by a crash and is cut off; what had been synced is there"
                );
            }
            Event::FailingBegan { error } => {
                warn!(
                    publisher,
                    error, "the spool takes no samples: they stay in memory"
                );
            }
            Event::FailingEnded => {
                info!(publisher, "the spool takes samples again");
            }
            Event::NotSynced { batches, error } => {
                error!(
                    publisher,
                    batches, %error, "the spool could not be synced: a power failure may lose samples"
                );
            }
            Event::NotRead { error } => {
                warn!(publisher, %error, "the spool cannot be read at present");
            }
            Event::DroppingBegan => {
                error!(
                    publisher,
                    "samples are lost: the spool is at a bound of size or age, its oldest samples are dropped"
                );
            }
            Event::DroppingEnded { samples } => {
                error!(
                    publisher,
                    samples, "samples were lost: dropping from the spool has ended"
                );
            }
            Event::DroppedByHand {
                dropped: Dropped { batches, samples },
            } => {
                warn!(
                    publisher,
                    batches, samples, "samples were dropped from the spool by hand"
                );
            }
            Event::KeepingBegan {
                encodings,
                batches,
                samples,
            } => {
                warn!(
                    publisher,
                    encodings,
                    batches,
                    samples,
                    "the spool keeps samples that the publisher does not take: configure a publisher that does, or drop them with `nephoscope spool`"
                );
            }
            Event::KeepingEnded => {
                info!(
                    publisher,
                    "the spool keeps no samples any more that the publisher does not take"
                );
            }
            Event::Damaged { batches, samples } => {
                error!(
                    publisher,
                    batches, samples, "samples are lost: they are damaged on the disk or missing from it"
                );
            }
            Event::NotSetAside { error } => {
                error!(
                    publisher,
                    %error, "samples that were refused for good could not be put into quarantine"
                );
            }
        }
    }
}
