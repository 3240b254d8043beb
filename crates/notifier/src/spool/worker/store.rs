//! Writing batches to the log and to the dead letters.

use std::collections::VecDeque;
use std::time::Duration;

use nephoscope_model::{Batch, Encoding, EncodingId};
use tokio::time::Instant;

use super::{RETRY, Worker, wall_clock};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;
use crate::spool::contents::Contents;
use crate::spool::dead_letter::DeadLetter;
use crate::spool::error::AppendError;
use crate::spool::events::Event;
use crate::spool::log::Record;
use crate::spool::mailbox::{Failing, Incoming, Probe};
use crate::spool::options::{Fsync, SYNC_INTERVAL};

/// The time limit of a group: waiting submitters must see progress well before the lane's full queue timeout ends, even with
/// large batches on a slow machine.
const GROUP_TIME: Duration = Duration::from_millis(100);

impl Worker {
    /// Appends batches. Returns the remaining ones after an error or at the time limit.
    pub(super) fn store(&mut self, mut items: VecDeque<Incoming>, closing: bool) -> VecDeque<Incoming> {
        let (mut appended, mut failed) = (0u64, false);
        let began = Instant::now();
        while appended == 0 || began.elapsed() < GROUP_TIME {
            let Some(item) = items.pop_front() else { break };
            let samples = item.batch.len();
            let (encoding, payload) = encoded(&item.batch, &*item.encoding);
            let contents = Contents {
                encoding,
                kind: item.batch.kind(),
            };
            let record = Record {
                contents: &contents,
                samples: u32::try_from(samples).unwrap_or(u32::MAX),
                time: wall_clock(),
                payload,
            };
            match self.log.append(record) {
                Ok(number) => {
                    appended += 1;
                    self.stored.0 += 1;
                    self.stored.1 += samples as u64;
                    self.pending.push_back((number, Some(item.ticket)));
                }
                Err(error @ (AppendError::TooLarge { .. } | AppendError::Encoding { .. })) => {
                    // It becomes a dead letter if possible; its dropped ticket reports the loss.
                    self.add_dead_letter(&item.batch, Some(&*item.encoding), &error.to_string());
                    self.stored.0 += 1;
                    self.stored.1 += samples as u64;
                    self.log.count_dropped(samples as u64);
                }
                Err(error) => {
                    items.push_front(item);
                    self.fail(&chain(&error));
                    failed = true;
                    break;
                }
            }
        }
        if appended > 0 {
            match self.options.fsync {
                Fsync::Always => self.sync(),
                Fsync::Interval if closing => self.sync(),
                Fsync::Interval => {
                    self.sync_due
                        .get_or_insert_with(|| Instant::now() + SYNC_INTERVAL);
                }
                Fsync::Never => self.resolve(),
            }
            if !failed {
                self.recover();
            }
        }
        items
    }

    /// Resolves the tickets of all appended batches as stored.
    pub(super) fn resolve(&mut self) {
        for (_, ticket) in self.pending.drain(..) {
            if let Some(ticket) = ticket {
                ticket.store();
            }
        }
        #[cfg(feature = "failpoints")]
        Failpoint::Stored.reach();
    }

    pub(super) fn sync(&mut self) {
        self.sync_due = None;
        match self.log.sync() {
            Ok(()) => {
                #[cfg(feature = "failpoints")]
                Failpoint::Synced.reach();
                self.resolve();
            }
            Err(error) => {
                self.sync_failures += 1;
                let batches = self.pending.len();
                // Dropped tickets report that the batches are not durable, even if they are delivered later.
                self.pending.clear();
                Event::NotSynced { batches, error }.emit(&self.shared.name);
            }
        }
    }

    fn fail(&mut self, error: &str) {
        self.retry_at = Some(Instant::now() + RETRY);
        let began = {
            let mut mail = self.shared.mail.lock();
            let began = mail.failing.is_none();
            mail.failing = Some(Failing {
                error: error.into(),
                probe: Probe::NotYet,
            });
            began
        };
        if began {
            Event::FailingBegan { error }.emit(&self.shared.name);
        }
    }

    fn recover(&mut self) {
        self.retry_at = None;
        if self.shared.mail.lock().failing.take().is_some() {
            Event::FailingEnded.emit(&self.shared.name);
        }
    }

    pub(super) fn add_dead_letter(&mut self, batch: &Batch, encoding: Option<&dyn Encoding>, reason: &str) {
        let encoded = encoding.map(|encoding| encoded(batch, encoding));
        let encoded = encoded.or_else(|| stored(batch));
        let letter = DeadLetter {
            time: wall_clock(),
            reason,
            encoding: encoded.as_ref().map(|(encoding, _)| encoding),
            samples: batch.len(),
            body: encoded.as_ref().map_or(&[], |(_, bytes)| bytes),
        };
        if let Err(error) = self.dead_letters.add(self.log.disk(), letter) {
            Event::DeadLetterFailed { error }.emit(&self.shared.name);
        }
    }
}

/// Returns the bytes of a batch and their encoding: the stored one if the batch comes from a spool.
fn encoded<'b>(batch: &'b Batch, encoding: &dyn Encoding) -> (EncodingId, &'b [u8]) {
    stored(batch).unwrap_or_else(|| (encoding.id(), batch.encoded(encoding).unwrap_or_default()))
}

fn stored(batch: &Batch) -> Option<(EncodingId, &[u8])> {
    Some((batch.stored_encoding()?.clone(), batch.stored_bytes()?))
}

/// Returns an error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
