//! The state machine of a lane: it decides which batch is sent where, and when.
//!
//! It takes no lock, reads no clock and does not wait. Callers pass the time and the [`Storage`] with each call, and apply the
//! returned [`Effects`] after they release the lane's lock. Three files divide it by caller: `intake` for submissions,
//! `delivery` for the publisher's task, `control` for reloads and the stop.

mod control;
mod delivery;
mod intake;
mod runs;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Encoding, Histogram};
use nephoscope_plugin::Publisher;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(crate) use self::control::{Remaining, View};
pub(crate) use self::delivery::{PublishCall, PublishResult, RunEndCall, Step};
pub(crate) use self::intake::Placed;
use self::runs::Runs;
use super::storage::Storage;
use super::target::Target;
use crate::events::{Counts, Event};
use crate::health::Health;
use crate::options::NotifierOptions;
use crate::queue::{Entry, Queue};
use crate::receipt::Ticket;

/// The state of a lane.
pub(crate) struct Machine {
    full_queue_timeout: Duration,
    drain_timeout: Duration,
    queue: Queue,
    health: Health,
    counts: Counts,
    publish_durations: Histogram,
    target: Target,
    /// Publishes so far, for the share of the backlog.
    publishes: u32,
    /// Whether the backlog precedes new batches until it is empty, on request of an operator.
    backlog_first: bool,
    mode: Mode,
    /// The number of submissions that wait for room.
    waiters: usize,
    /// Whether the publisher's task sleeps until a batch arrives.
    task_idle: bool,
    /// Run ends to report, if the publisher follows runs.
    runs: Runs,
    /// Whether a failed run hook was logged.
    run_hook_failure_logged: bool,
    replacement: Option<Replacement>,
    /// Publishers that were replaced before they were used; the task closes them.
    unused: Vec<Arc<dyn Publisher>>,
    /// Whether a submission after the stop was logged.
    late_submission_logged: bool,
    /// Whether the remaining batches were counted.
    ended: bool,
}

enum Mode {
    Open,
    /// The queue is drained; then the lane stops.
    Draining(Draining),
    Stopped,
}

#[derive(Clone, Copy)]
struct Draining {
    /// Remaining batches are dropped at this time.
    until: Instant,
    /// Remaining batches are stored at this time.
    deliver_until: Instant,
}

/// A publisher that replaces the current one.
struct Replacement {
    target: Target,
    /// In-flight batches may finish until then.
    until: Instant,
    done: oneshot::Sender<()>,
}

/// Work to do after the lock is released.
#[derive(Default)]
#[must_use = "receipts and sleeping tasks wait for it"]
pub(crate) struct Effects {
    /// Log lines.
    pub(crate) events: Vec<Event>,
    /// A delivered batch.
    pub(crate) delivered: Option<Entry>,
    /// Lost batches, and tickets of lost batches that were not queued.
    pub(crate) lost: Vec<Entry>,
    pub(crate) lost_tickets: Vec<Ticket>,
    /// Whether to wake the publisher's task.
    pub(crate) work: bool,
    /// Which waiting submitters to wake.
    pub(crate) room: Room,
}

/// The waiting submitters to wake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    #[default]
    None,
    /// The one that has waited longest.
    One,
    All,
}

impl Machine {
    pub(crate) fn new(target: Target, bound: usize, options: &NotifierOptions, now: Instant) -> Self {
        Self {
            full_queue_timeout: options.full_queue_timeout,
            drain_timeout: options.drain_timeout,
            queue: Queue::new(bound),
            health: Health::new(options, now),
            counts: Counts::default(),
            publish_durations: Histogram::of_durations(),
            target,
            publishes: 0,
            backlog_first: false,
            mode: Mode::Open,
            waiters: 0,
            task_idle: false,
            runs: Runs::default(),
            run_hook_failure_logged: false,
            replacement: None,
            unused: Vec::new(),
            late_submission_logged: false,
            ended: false,
        }
    }

    /// The publisher, or its pending replacement.
    pub(crate) fn publisher(&self) -> &Arc<dyn Publisher> {
        let next = self.replacement.as_ref();
        &next.map_or(&self.target, |next| &next.target).publisher
    }

    /// The storage with the publisher's encoding, if the publisher has one.
    fn usable<'a>(&self, storage: Option<&'a dyn Storage>) -> Option<(&'a dyn Storage, Arc<dyn Encoding>)> {
        Some((storage?, self.target.encoding.clone()?))
    }

    /// Whether the publisher is blocked and neither it nor the storage has made progress for `full_queue_timeout`.
    fn is_stalled(&self, now: Instant) -> bool {
        let since = self.health.last_progress();
        self.health.blocked().is_some() && now.duration_since(since) >= self.full_queue_timeout
    }

    /// Which submitters to wake after batches have left the queue.
    fn room_if_eased(&self) -> Room {
        if self.waiters > 0 && self.queue.has_eased() {
            Room::One
        } else {
            Room::None
        }
    }
}
