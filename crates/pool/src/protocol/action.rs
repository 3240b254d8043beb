//! The machine's actions: requests to etcd, work for the engine, notices for people.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{BootTime, Unit};
use nephoscope_model::{CycleId, ScheduleId};

use super::division::Division;
use super::ids::{Incarnation, Revision};
use super::notice::Notice;
use super::record::{Key, Value};

/// An action. The driver starts the actions of one step in their order. Requests need not wait for each other, except that
/// an [`Action::Revoke`] waits for the writes before it, and writes to one key are executed in order. Each request is
/// answered or has failed within [`Options::answer_timeout`](super::Options::answer_timeout).
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// After `after`: drop all requests of the previous membership, revoke its presence lease if it may still exist, grant
    /// a presence lease and a record lease ([`record_ttl`](super::record_ttl)), open the watches, and answer with
    /// [`Event::Session`](super::Event::Session), or with [`Event::Failed`](super::Event::Failed). The previous record
    /// lease is no longer kept alive, and never revoked: its keys expire when they are no longer needed.
    Join {
        /// A backoff; shorten it by up to a quarter at random.
        after: Duration,
    },
    /// Write a value if all conditions hold, in one transaction; answer with [`Event::Written`](super::Event::Written).
    Write {
        /// The key.
        key: Key,
        /// The value.
        value: Value,
        /// The conditions.
        only_if: Vec<Condition>,
    },
    /// Read (linearizable); answer with [`Event::Read`](super::Event::Read).
    Read(Scope),
    /// Send a keepalive of the presence lease now, and answer like any other keepalive.
    RenewLease,
    /// Revoke the presence lease, and close. No action follows.
    Revoke,

    /// For the engine: run the cycle in progress; [`Machine::plan`](super::Machine::plan) returns its plan.
    Begin {
        /// The cycle.
        cycle: CycleId,
        /// Its nominal start on the boot clock.
        edge: BootTime,
        /// The time until the next edge.
        interval: Duration,
    },
    /// For the engine: poll what this agent takes over in a cycle, in parallel to other work.
    TakeOver {
        /// The cycle.
        cycle: CycleId,
        /// The number of this takeover.
        takeover: u64,
        /// The time after which the takeover is pointless, on the boot clock.
        until: BootTime,
        /// The units to poll.
        units: Vec<Unit>,
        /// The division of these units.
        division: Arc<Division>,
    },
    /// For the engine: other agents have this agent's share of the cycle; cancel the polls of shared units of all its work.
    Cancel(CycleId),

    /// For people: a log line and a metric.
    Notice(Notice),
}

/// A condition of a write. [`Revision::NONE`] means that the key does not exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The key was last changed at this revision.
    Unchanged(Key, Revision),
    /// The key was created at this revision; later changes do not matter.
    Created(Key, Revision),
}

/// The keys of a read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All keys under `members/`.
    Members,
    /// The key `plans/<schedule>`.
    Plan(ScheduleId),
    /// All keys under `marks/<schedule>/`.
    Marks(ScheduleId),
}

impl Key {
    /// Returns whether the key is attached to the presence lease; all others are attached to the record lease.
    pub fn under_presence(&self) -> bool {
        matches!(self, Self::Member(_))
    }

    /// Returns the membership that a key of marks or give-ups belongs to.
    pub fn incarnation(&self) -> Option<Incarnation> {
        match self {
            Self::Marks(_, incarnation) | Self::GiveUps(_, incarnation) => Some(*incarnation),
            Self::Member(_) | Self::Plan(_) => None,
        }
    }
}
