//! The mailbox between a publisher's lane and the thread of its spool.

use std::collections::VecDeque;
use std::sync::Arc;

use nephoscope_model::{Batch, Encoding};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::contents::AcceptedContents;
use super::dead_letter::DeadLetterStatus;
use super::log::{LogCounts, StoredContents};
use super::options::SpoolOptions;
use crate::receipt::Ticket;

/// The amount that an operator dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Batches.
    pub batches: u64,
    /// Samples of these batches.
    pub samples: u64,
}

/// A batch to store.
pub(crate) struct Incoming {
    pub(crate) batch: Arc<Batch>,
    pub(crate) encoding: Arc<dyn Encoding>,
    pub(crate) ticket: Ticket,
}

/// A batch to deliver.
pub(crate) struct Outgoing {
    pub(crate) number: u64,
    pub(crate) batch: Arc<Batch>,
}

/// A batch that the spool no longer needs.
pub(super) enum Settled {
    /// A stored batch was delivered.
    Done(u64),
    /// A batch was permanently rejected.
    Rejected {
        /// Its number, if it was stored.
        number: Option<u64>,
        batch: Arc<Batch>,
        /// Its encoding, if it was not stored.
        encoding: Option<Arc<dyn Encoding>>,
        reason: String,
    },
}

type Listener = Box<dyn Fn() + Send + Sync>;

/// The state that the lane and the thread share.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) mail: Mutex<Mail>,
    /// Wakes the thread.
    pub(super) wake: Condvar,
    listener: Mutex<Option<Listener>>,
    /// Cancelled when the thread has closed the spool.
    pub(super) closed: CancellationToken,
}

/// The mailbox. All its parts are bounded.
pub(super) struct Mail {
    pub(super) options: SpoolOptions,
    pub(super) options_changed: bool,
    pub(super) inbox: VecDeque<Incoming>,
    /// Batches in the inbox and those that the thread is writing, and their samples.
    pub(super) incoming_batches: usize,
    pub(super) incoming_samples: usize,
    pub(super) ready: VecDeque<Outgoing>,
    pub(super) ready_bytes: usize,
    /// How many batches the thread keeps ready.
    pub(super) prefetch: usize,
    /// The contents that the lane accepts.
    pub(super) accepts: AcceptedContents,
    /// A change of the accepted contents for the thread.
    pub(super) accepted_change: Option<AcceptedChange>,
    /// Accepted batches in the log that are not ready yet.
    pub(super) unread: u64,
    /// Bounded by the lane's in-flight batches and those of earlier calls that the thread has not seen.
    pub(super) settled: Vec<Settled>,
    /// Settled batches that the log still counts, and their samples.
    pub(super) settling: (u64, u64),
    pub(super) move_to_backlog: bool,
    /// Manual drops: all records before a time, and the channel for the result.
    pub(super) drops: Vec<(i64, oneshot::Sender<Dropped>)>,
    pub(super) closing: bool,
    pub(super) failing: Option<Failing>,
    pub(super) status: Report,
}

/// A change of the accepted contents.
pub(super) struct AcceptedChange {
    pub(super) accepts: AcceptedContents,
    /// Batches that were read and are not delivered. They are read again if they are accepted.
    pub(super) returned: Vec<u64>,
}

/// A write error, and the state of the next attempt.
pub(super) struct Failing {
    pub(super) error: Arc<str>,
    pub(super) probe: Probe,
}

/// The state of the batch that tests whether the disk is writable again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// The pause before the next attempt lasts.
    NotYet,
    /// The next batch is the probe.
    Ready,
    /// The probe is being written and is not delivered meanwhile.
    InFlight,
}

/// The thread's part of the status.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) bytes: u64,
    pub(super) batches: u64,
    pub(super) samples: u64,
    pub(super) oldest_time: Option<i64>,
    pub(super) recovered: (u64, u64),
    pub(super) stored: (u64, u64),
    pub(super) counts: LogCounts,
    pub(super) sync_failures: u64,
    pub(super) dead_letter: DeadLetterStatus,
    pub(super) contents: Vec<StoredContents>,
    pub(super) low: u64,
    pub(super) next: u64,
}

impl Shared {
    pub(super) fn new(name: Arc<str>, options: SpoolOptions) -> Self {
        Self {
            name,
            mail: Mutex::new(Mail {
                options,
                options_changed: false,
                inbox: VecDeque::new(),
                incoming_batches: 0,
                incoming_samples: 0,
                ready: VecDeque::new(),
                ready_bytes: 0,
                prefetch: 0,
                accepts: AcceptedContents::default(),
                accepted_change: None,
                unread: 0,
                settled: Vec::new(),
                settling: (0, 0),
                move_to_backlog: false,
                drops: Vec::new(),
                closing: false,
                failing: None,
                status: Report::default(),
            }),
            wake: Condvar::new(),
            listener: Mutex::new(None),
            closed: CancellationToken::new(),
        }
    }

    /// Calls `listener` after every change. It must not call back.
    pub(super) fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        *self.listener.lock() = Some(Box::new(listener));
    }

    /// Notifies the lane of a change. The mailbox must not be locked.
    pub(super) fn notify_lane(&self) {
        if let Some(listener) = &*self.listener.lock() {
            listener();
        }
    }
}

impl Mail {
    pub(super) fn accepts(&self) -> bool {
        let wanted = |failing: &Failing| failing.probe == Probe::Ready;
        !self.closing && self.failing.as_ref().is_none_or(wanted)
    }

    /// The contents with the support of the current publisher, which the thread may not know yet.
    pub(super) fn with_current_support(&self, contents: &StoredContents) -> StoredContents {
        StoredContents {
            unsupported: !self.accepts.includes(&contents.contents),
            ..contents.clone()
        }
    }

    pub(super) fn push(&mut self, incoming: Incoming) {
        self.incoming_batches += 1;
        self.incoming_samples += incoming.batch.len();
        self.inbox.push_back(incoming);
    }
}
