//! The trait between the engine and the backends.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_model::CycleId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{BootTime, Unit};

/// The longest time that a backend may take for an answer of [`Coordinator::may_hand_over`].
pub const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// Divides shared work among agents.
///
/// One cycle of a schedule with shared units, seen from here:
///
/// 1. [`prepare`](Coordinator::prepare), when its edge comes near;
/// 2. [`plan`](Coordinator::plan) at the edge, and [`Plan::share`] once for each unit;
/// 3. [`may_hand_over`](Coordinator::may_hand_over) before each batch goes to the notifier;
/// 4. [`finished`](Coordinator::finished) for each unit when the receipts of its samples have resolved, or
///    [`gave_up`](Coordinator::gave_up).
///
/// Beside that the engine asks in a loop for [`next_work`](Coordinator::next_work). Host groups never come here.
#[async_trait]
pub trait Coordinator: Send + Sync + 'static {
    /// What this agent carries from now on; called at the start and at each reload, before the schedules change. It takes
    /// note, and does not wait until others know: the engine asks each plan whether they do.
    async fn carry(&self, carried: Carried);

    /// The edge of a cycle with shared units is at most about two seconds away: a plan can be made now. `edge` is where
    /// the cycle's nominal start lies on the monotonic clock, `interval` the time from there to the next edge.
    ///
    /// It must not wait. It comes again for the same cycle after a reload, and never for a cycle whose edge had passed
    /// before it was seen (the process was stopped, the clock went forward): `plan` may come without it.
    fn prepare(&self, cycle: &CycleId, edge: Instant, interval: Duration);

    /// Who does what in this cycle; asked once, at the edge or after it. It waits at most until one request timeout after
    /// the edge.
    ///
    /// # Errors
    ///
    /// [`NoPlan`]: this agent polls nothing shared in this cycle. So too, and at once, for a schedule of which this agent
    /// carries no unit, and after [`stopping`](Coordinator::stopping).
    async fn plan(&self, cycle: &CycleId) -> Result<Agreed, NoPlan>;

    /// Work that comes outside of the edges: a cycle in progress, and successions. A backend that has none never returns.
    ///
    /// One task of the engine asks in a loop, which drops the future when the agent stops: no work may be lost by that.
    async fn next_work(&self) -> Work;

    /// The fence: whether samples of `units` that were polled in `work` may go to the notifier. `finished` is when the last
    /// of them was reported.
    ///
    /// It is asked for each batch, also after the work was cancelled: what was finished before the lease's deadline may
    /// still go. While the lease is in doubt it may wait for one request timeout, which is at most [`LONGEST_ANSWER`].
    async fn may_hand_over(&self, work: &WorkId, units: &[Unit], finished: BootTime) -> bool;

    /// All of this agent's share of `unit` in `work` was polled, and every sample's receipt has resolved. A poll that failed
    /// counts as polled. Called at most once for a unit of a work, and not after `gave_up`.
    fn finished(&self, work: &WorkId, unit: &Unit);

    /// This agent has not done its share of `unit` in `work`, and will not: the service cannot be reached from here, the
    /// work was cancelled, the fence was closed, or the agent stops. The next of the ranking may. Called at most once for a
    /// unit of a work, and not after `finished`.
    fn gave_up(&self, work: &WorkId, unit: &Unit);

    /// A cycle was skipped, since the one before still runs: it is counted, and nobody takes it over.
    fn skipped(&self, cycle: &CycleId);

    /// The agent begins to stop: it wants to be in no further plan. The engine begins no cycle and takes no work any more;
    /// what a plan that exists already gives to this agent, in a cycle that was not begun, is to be given up at once.
    /// What runs goes on.
    async fn stopping(&self);

    /// Leaves the pool: all that was neither finished nor given up is given up. Called once, when the last cycle has ended
    /// and receipts were waited for. The engine drops the future at the end of the time for its stop, a second later at most.
    async fn leave(&self);
}

/// What an agent carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// The units that agents share, each once.
    pub units: Vec<Unit>,
    /// A digest of which meters are wanted of which of these units: agents with the same units and different digests have
    /// configurations that differ, and what is measured of a resource depends on its owner.
    pub meters: u64,
    /// The cycles in progress of the schedules with shared units, each once: where nobody has made a plan of a schedule yet, the first
    /// may be of that cycle.
    pub in_progress: Vec<InProgress>,
}

/// A cycle whose edge has passed, and the next has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InProgress {
    /// The cycle.
    pub cycle: CycleId,
    /// Where its nominal start lies on the monotonic clock.
    pub edge: Instant,
    /// From its edge to the next.
    pub interval: Duration,
}

/// The division of a work as agreed.
#[derive(Clone)]
pub struct Agreed {
    /// Who does what.
    pub plan: Arc<dyn Plan>,
    /// Cancelled when others have what was this agent's: polls of shared units end at once.
    pub cancelled: CancellationToken,
}

impl fmt::Debug for Agreed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Agreed")
            .field("cancelled", &self.cancelled)
            .finish_non_exhaustive()
    }
}

/// The division of one cycle, or of one succession in it.
pub trait Plan: Send + Sync {
    /// Whether the plan lists this agent with exactly these units of its schedule. A reload takes effect for shared
    /// units with the first plan of which this is true; until then the work goes on as it was.
    fn carries(&self, units: &[Unit]) -> bool;

    /// What of `unit` is this agent's.
    fn share(&self, unit: &Unit) -> Share;

    /// Among how many agents the unit is divided, this one included.
    fn members(&self, unit: &Unit) -> NonZeroUsize;
}

/// What of a unit is one agent's.
#[derive(Clone)]
pub enum Share {
    /// Nothing: the unit need not even be listed.
    Nothing,
    /// All of it: a unit that is divided by listing, or an agent that is alone.
    Everything,
    /// The resources whose key the function says yes to. It is asked once for each resource that is listed.
    Resources(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Share {
    /// Whether there may be anything.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Whether the resource with this key belongs to it.
    pub fn has(&self, key: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Resources(owns) => owns(key),
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Everything => "Everything",
            Self::Resources(_) => "Resources",
        })
    }
}

/// A cycle, or a succession in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkId {
    /// The cycle.
    pub cycle: CycleId,
    /// The number of the succession, unique within this process; `None` is the cycle's own work.
    pub succession: Option<u64>,
}

impl WorkId {
    /// The cycle's own work.
    pub fn of(cycle: CycleId) -> Self {
        Self {
            cycle,
            succession: None,
        }
    }
}

impl fmt::Display for WorkId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.cycle)?;
        match self.succession {
            Some(number) => write!(out, " succession {number}"),
            None => Ok(()),
        }
    }
}

/// Work outside of the edges.
#[derive(Debug, Clone)]
pub enum Work {
    /// The first plan of a schedule is of the cycle in progress: its shared units are polled now, unless this agent did so
    /// already. [`Coordinator::plan`] tells the plan, as at an edge.
    InProgress {
        /// The cycle.
        cycle: CycleId,
        /// Where its nominal start lies on the monotonic clock.
        edge: Instant,
        /// From its edge to the next.
        interval: Duration,
    },
    /// What others have left undone in a cycle is this agent's now: it is listed again and polled, beside all else that runs.
    Succession {
        /// The cycle, and the number of the succession.
        id: WorkId,
        /// When it is too late.
        until: Instant,
        /// What it is about; nothing else is touched.
        units: Vec<Unit>,
        /// [`Plan::share`] has only what became this agent's and is not done.
        agreed: Agreed,
    },
}

/// There is no plan for a cycle, or this agent is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlan {
    /// Why, for the log and the readiness.
    pub reason: String,
}
