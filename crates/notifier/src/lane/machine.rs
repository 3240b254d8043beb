//! The decisions of a lane, as a state machine: which batch goes where, and when.
//!
//! It takes no lock, reads no clock and waits for nothing. The time and the [`Storage`] come in with each call; what has
//! to be done outside of the lane's lock goes out as [`Effects`]. The three sides of a lane are in three files: `intake`
//! for hand-overs, `delivery` for the publisher's task, `control` for reloads and the stop.

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

pub(crate) use self::control::{Left, View};
pub(crate) use self::delivery::{Answer, Departure, Step, Told};
pub(crate) use self::intake::Placed;
use self::runs::Runs;
use super::served::Served;
use super::storage::Storage;
use crate::events::{Counts, Event};
use crate::health::Health;
use crate::options::NotifierOptions;
use crate::queue::{Entry, Queue};
use crate::receipt::Ticket;

/// The state of a lane.
pub(crate) struct Machine {
    patience: Duration,
    drain_timeout: Duration,
    queue: Queue,
    health: Health,
    counts: Counts,
    publish_durations: Histogram,
    served: Served,
    /// Departures, for the share of the backlog.
    departures: u32,
    /// Whether the backlog goes before what is fresh until there is none, since somebody asked for that.
    backlog_first: bool,
    mode: Mode,
    /// Hand-overs that wait for room.
    waiters: usize,
    /// Whether the publisher's task sleeps and a further batch is what it wants.
    hungry: bool,
    /// What the publisher hears of runs, if it follows them.
    runs: Runs,
    /// Whether it was said that the publisher does not hear of runs.
    told_deaf: bool,
    replacement: Option<Replacement>,
    /// Publishers that came and went before they delivered anything; the task closes them.
    unused: Vec<Arc<dyn Publisher>>,
    /// Whether it was said that batches come after the stop.
    told_late: bool,
    /// Whether what was left at the end is counted.
    ended: bool,
}

enum Mode {
    Open,
    /// Being emptied for good, until then.
    Draining(Draining),
    Stopped,
}

#[derive(Clone, Copy)]
struct Draining {
    /// What is left is dropped then.
    until: Instant,
    /// What is left is stored then.
    deliver_until: Instant,
}

/// A publisher that takes the place of the present one.
struct Replacement {
    served: Served,
    /// What is under way may finish until then.
    until: Instant,
    done: oneshot::Sender<()>,
}

/// What is left to do after the lock is released.
#[derive(Default)]
#[must_use = "receipts wait for it, and tasks that sleep"]
pub(crate) struct Effects {
    /// Log lines.
    pub(crate) events: Vec<Event>,
    /// A batch that was delivered.
    pub(crate) delivered: Option<Entry>,
    /// Batches that were lost, and the tickets of others.
    pub(crate) lost: Vec<Entry>,
    pub(crate) lost_tickets: Vec<Ticket>,
    /// Whether the publisher's task has something to do.
    pub(crate) work: bool,
    /// Who of those that wait for room looks again.
    pub(crate) room: Room,
}

/// Who looks whether there is room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    #[default]
    Nobody,
    /// The one that has waited longest.
    One,
    All,
}

impl Machine {
    pub(crate) fn new(served: Served, bound: usize, options: &NotifierOptions, now: Instant) -> Self {
        Self {
            patience: options.patience,
            drain_timeout: options.drain_timeout,
            queue: Queue::new(bound),
            health: Health::new(options, now),
            counts: Counts::default(),
            publish_durations: Histogram::of_durations(),
            served,
            departures: 0,
            backlog_first: false,
            mode: Mode::Open,
            waiters: 0,
            hungry: false,
            runs: Runs::default(),
            told_deaf: false,
            replacement: None,
            unused: Vec::new(),
            told_late: false,
            ended: false,
        }
    }

    /// The publisher, or the one that takes its place.
    pub(crate) fn publisher(&self) -> &Arc<dyn Publisher> {
        let next = self.replacement.as_ref();
        &next.map_or(&self.served, |next| &next.served).publisher
    }

    /// The storage, if the publisher can have one, and how it encodes.
    fn usable<'a>(&self, storage: Option<&'a dyn Storage>) -> Option<(&'a dyn Storage, Arc<dyn Encoding>)> {
        Some((storage?, self.served.encoding.clone()?))
    }

    /// Whether neither the publisher nor the storage has taken anything for as long as a hand-over waits.
    fn stands_still(&self, now: Instant) -> bool {
        let since = self.health.last_progress();
        self.health.blocked().is_some() && now.duration_since(since) >= self.patience
    }

    /// Who may look for room after batches have left.
    fn room_if_eased(&self) -> Room {
        if self.waiters > 0 && self.queue.has_eased() {
            Room::One
        } else {
            Room::Nobody
        }
    }
}
