//! The machine's inputs: everything that it learns arrives as an [`Event`].

use std::time::Duration;

use nephoscope_coordination::{BootTime, Unit};
use nephoscope_model::{CycleId, ScheduleId, Timestamp};

use super::action::Scope;
use super::ids::{Incarnation, Revision};
use super::record::{Entry, Key};

/// The time of a step, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now {
    /// The boot clock, for leases, edges and timeouts.
    pub boot: BootTime,
    /// The wall clock, which plans record and which is compared with theirs.
    pub wall: Timestamp,
}

/// An input of the machine.
///
/// Each request is answered at most once. After the driver has accepted an [`Action::Join`](super::Action::Join), no answer
/// to an older request may arrive, and no event of an older watch or lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The time of [`Machine::next_tick`](super::Machine::next_tick) has come. Harmless at any other time.
    Tick,

    /// [`Action::Join`](super::Action::Join) succeeded: both leases are granted, and the watches are open.
    Session(Session),
    /// A watch broke and was reopened after everything was read again. Also sent after etcd was unreachable.
    Synced(Snapshot),
    /// A watched key changed.
    Watched(Entry),
    /// etcd acknowledged the presence lease; `sent` is the time at which the request was *sent*.
    KeptAlive {
        /// On the boot clock.
        sent: BootTime,
    },
    /// etcd reported that the presence lease does not exist.
    LeaseGone,
    /// No endpoint of etcd answers, so its current state is unknown. Ends with [`Event::Synced`] or [`Event::Session`].
    StoreLost,

    /// The answer to [`Action::Read`](super::Action::Read).
    Read(Scope, Snapshot),
    /// The answer to [`Action::Write`](super::Action::Write).
    Written(Key, Written),
    /// The request was not answered within its deadline, or was rejected (no permission, no space): its outcome is unknown.
    Failed(Request),

    /// The shared units of this agent from now on; sent at the start and after each reload.
    Register(RegisteredUnits),
    /// The edge of a cycle with shared units is near.
    Prepare(Edge),
    /// This agent's share of `unit` in a work item was polled, and every receipt has resolved.
    Finished {
        /// The work item.
        work: WorkName,
        /// The unit.
        unit: Unit,
    },
    /// This agent will not finish its share of `unit` in a work item.
    GaveUp {
        /// The work item.
        work: WorkName,
        /// The unit.
        unit: Unit,
    },
    /// The engine skipped a cycle: no agent takes it over.
    Skipped(CycleId),
    /// Samples wait at the fence ([`Verdict::Unconfirmed`](super::Verdict::Unconfirmed)): confirm the lease with etcd.
    ConfirmLease,
    /// The agent stops and must not be listed in further plans.
    Stopping,
    /// The agent leaves and gives up everything unfinished. The last event of a machine, except for the answers to its last
    /// requests.
    Leave,
}

/// A session with leases and watches, on which a membership can start.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Session {
    /// 128 random bits.
    pub incarnation: Incarnation,
    /// The time at which the presence lease was requested, on the boot clock: it cannot have started earlier.
    pub sent: BootTime,
    /// All members, plans and give-ups. The watches start directly after this revision.
    pub snapshot: Snapshot,
}

/// The keys of a scope at one revision. A key of the scope that is missing here does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The store's revision.
    pub revision: Revision,
    /// The keys, in any order.
    pub entries: Vec<Entry>,
}

/// The outcome of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Written {
    /// The write was executed, at this revision.
    Done(Revision),
    /// A condition did not hold; contains the current state of the key.
    Rejected(Snapshot),
}

/// A request, as failures name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Any part of [`Action::Join`](super::Action::Join).
    Join,
    /// [`Action::Write`](super::Action::Write) of this key.
    Write(Key),
    /// [`Action::Read`](super::Action::Read) of this scope.
    Read(Scope),
    /// [`Action::RenewLease`](super::Action::RenewLease).
    RenewLease,
}

/// The shared units of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegisteredUnits {
    /// The shared units.
    pub units: Vec<Unit>,
    /// A digest of the meters that are configured for them.
    pub meters: u64,
    /// The known cycles in progress of these schedules: a schedule's first plan may be for one of them. A prepared cycle
    /// need not be included.
    pub in_progress: Vec<Edge>,
}

/// A cycle and its edge on the boot clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The cycle.
    pub cycle: CycleId,
    /// Its nominal start.
    pub edge: BootTime,
    /// The time from there to the next edge.
    pub interval: Duration,
}

/// A work item of the engine: a cycle's own (`takeover` is `None`), or a takeover in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkName {
    /// The schedule of the cycle.
    pub schedule: ScheduleId,
    /// Its nominal start.
    pub start: Timestamp,
    /// The number of the takeover, unique within a process.
    pub takeover: Option<u64>,
}
