//! What the machine wants done: requests to etcd, work for the engine, notices for people.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{BootTime, Unit};
use nephoscope_model::{CycleId, ScheduleId};

use super::division::Division;
use super::ids::{Incarnation, Revision};
use super::notice::Notice;
use super::record::{Key, Value};

/// Something to be done. Actions of one step are to be started in their order; requests need not wait for each other,
/// except that an [`Action::Revoke`] waits for the writes before it, and writes of one key are done in their order. Each
/// request is answered, or has failed, within [`Options::patience`](super::Options::patience).
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// After `after`: forget what goes on for the former membership, revoke its presence lease if it may still be, grant
    /// a presence lease and a record lease ([`record_ttl`](super::record_ttl)), make the watches stand, and answer with
    /// [`Event::Session`](super::Event::Session), or with [`Event::Failed`](super::Event::Failed). The former record lease
    /// is not kept alive any more, and never revoked: what hangs on it goes when nobody needs it.
    Join {
        /// A backoff; spread it by up to a quarter at random.
        after: Duration,
    },
    /// Put a value if all conditions hold, in one transaction; answer with [`Event::Written`](super::Event::Written).
    Write {
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// What must hold.
        only_if: Vec<Condition>,
    },
    /// Read, linearizably; answer with [`Event::Read`](super::Event::Read).
    Read(Scope),
    /// Send a keepalive of the presence lease now, and answer as for each other one.
    AskLease,
    /// Revoke the presence lease, and close. Nothing follows.
    Revoke,

    /// For the engine: run the cycle in progress; [`Machine::plan`](super::Machine::plan) has its plan.
    Begin {
        /// The cycle.
        cycle: CycleId,
        /// Where its nominal start lies on the boot clock.
        edge: BootTime,
        /// From there to the next edge.
        interval: Duration,
    },
    /// For the engine: poll what became ours in a cycle, beside all else.
    Succeed {
        /// The cycle.
        cycle: CycleId,
        /// The number of this succession.
        succession: u64,
        /// When it is too late, on the boot clock.
        until: BootTime,
        /// What it is about.
        units: Vec<Unit>,
        /// Says what of it is ours.
        division: Arc<Division>,
    },
    /// For the engine: others have what was ours in this cycle; its polls of shared units end, all works of it.
    Cancel(CycleId),

    /// For people: something worth a log line and a metric.
    Notice(Notice),
}

/// What must hold for a write. [`Revision::NONE`] means that there is no such key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The key was last changed in this revision.
    Unchanged(Key, Revision),
    /// The key came into being in this revision, whatever changed since.
    Created(Key, Revision),
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of `members/`.
    Members,
    /// The key `plans/<schedule>`.
    Plan(ScheduleId),
    /// All of `marks/<schedule>/`.
    Marks(ScheduleId),
}

impl Key {
    /// Whether the key hangs on the presence lease; all others hang on the record lease.
    pub fn under_presence(&self) -> bool {
        matches!(self, Self::Member(_))
    }

    /// The membership that a key of marks or give-ups belongs to.
    pub fn incarnation(&self) -> Option<Incarnation> {
        match self {
            Self::Marks(_, incarnation) | Self::GiveUps(_, incarnation) => Some(*incarnation),
            Self::Member(_) | Self::Plan(_) => None,
        }
    }
}
