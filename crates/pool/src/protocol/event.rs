//! What happens to an agent: everything that the machine knows of the world comes as an [`Event`].

use std::time::Duration;

use nephoscope_coordination::{BootTime, Unit};
use nephoscope_model::{CycleId, ScheduleId, Timestamp};

use super::action::Scope;
use super::ids::{Incarnation, Revision};
use super::record::{Entry, Key};

/// The time of a step, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now {
    /// The boot clock: leases, edges and all waits.
    pub boot: BootTime,
    /// The wall clock: what is written into plans, and compared with it.
    pub wall: Timestamp,
}

/// Something that happened.
///
/// Answers come at most once for each request that the machine made. After an [`Action::Join`](super::Action::Join) was
/// taken up, no answer to an older request may come any more, and no event of an older watch or lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The time that [`Machine::next_tick`](super::Machine::next_tick) named has come. Harmless at any other time.
    Tick,

    /// What [`Action::Join`](super::Action::Join) asked for is done: both leases are granted, and the watches stand.
    Session(Session),
    /// A watch broke, and stands again; everything was read anew. Also after etcd could not be reached.
    Synced(Snapshot),
    /// A watched key changed.
    Watched(Entry),
    /// etcd acknowledged the presence lease; `sent` is when the request was *sent*.
    KeptAlive {
        /// On the boot clock.
        sent: BootTime,
    },
    /// etcd said that the presence lease does not exist.
    LeaseGone,
    /// Nothing is known any more of what happens in etcd: no endpoint answers. Ends with [`Event::Synced`] or
    /// [`Event::Session`].
    StoreLost,

    /// The answer to [`Action::Read`](super::Action::Read).
    Read(Scope, Snapshot),
    /// The answer to [`Action::Write`](super::Action::Write).
    Written(Key, Written),
    /// The request named was not answered within its deadline, or refused (no permission, no space): whether it was done
    /// is not known.
    Failed(Request),

    /// What this agent carries from now on; at the start, and after each reload.
    Carry(Carry),
    /// The edge of a cycle with shared units comes.
    Prepare(Edge),
    /// All of this agent's share of `unit` in a work was polled, and every receipt has resolved.
    Finished {
        /// Which work.
        work: WorkName,
        /// Which unit.
        unit: Unit,
    },
    /// This agent has not done its share of `unit` in a work, and will not.
    GaveUp {
        /// Which work.
        work: WorkName,
        /// Which unit.
        unit: Unit,
    },
    /// A cycle was skipped by the engine: nobody takes it over.
    Skipped(CycleId),
    /// Samples wait at the fence ([`Verdict::Ask`](super::Verdict::Ask)): ask etcd whether the lease still is.
    Doubt,
    /// The agent begins to stop: it is to be in no further plan.
    Stopping,
    /// The agent leaves: what is neither finished nor given up is given up. The last event of a machine, but for the
    /// answers to what it asks for then.
    Leave,
}

/// A membership that can begin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Session {
    /// 128 fresh random bits.
    pub incarnation: Incarnation,
    /// When the presence lease was asked for, on the boot clock: it cannot have begun earlier.
    pub sent: BootTime,
    /// All members, plans and give-ups. The watches begin right after it.
    pub snapshot: Snapshot,
}

/// Keys as they stood at one revision of the store. A key of the scope that is not among them is not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The store's revision.
    pub revision: Revision,
    /// The keys, in any order.
    pub entries: Vec<Entry>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Written {
    /// It was done, in this revision.
    Done(Revision),
    /// A condition did not hold; this is how the key stands instead.
    Refused(Snapshot),
}

/// A request, as failures name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// [`Action::Join`](super::Action::Join), anything of it.
    Join,
    /// [`Action::Write`](super::Action::Write) of this key.
    Write(Key),
    /// [`Action::Read`](super::Action::Read) of this scope.
    Read(Scope),
    /// [`Action::AskLease`](super::Action::AskLease).
    AskLease,
}

/// What an agent carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Carry {
    /// The shared units.
    pub units: Vec<Unit>,
    /// A digest of the meters that are wanted of them.
    pub meters: u64,
    /// Cycles in progress of these schedules, as far as they are known: a schedule's first plan may be of one. A cycle
    /// that was prepared need not be named.
    pub in_progress: Vec<Edge>,
}

/// A cycle and its place on the boot clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The cycle.
    pub cycle: CycleId,
    /// Where its nominal start lies.
    pub edge: BootTime,
    /// From there to the next edge.
    pub interval: Duration,
}

/// A work of the engine: a cycle's own (`succession` is `None`), or something that came later in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkName {
    /// The schedule of the cycle.
    pub schedule: ScheduleId,
    /// Its nominal start.
    pub start: Timestamp,
    /// The number of the succession, unique within a process.
    pub succession: Option<u64>,
}
