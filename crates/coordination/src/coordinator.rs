//! The trait between the engine and the coordination backends.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_model::CycleId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{BootTime, Unit};

/// The longest time that [`Coordinator::may_hand_over`] of a backend may take.
pub const MAX_ANSWER_TIME: Duration = Duration::from_secs(10);

/// Divides shared work among agents.
///
/// The engine calls, for one cycle of a schedule with shared units:
///
/// 1. [`prepare`](Coordinator::prepare), shortly before the edge;
/// 2. [`plan`](Coordinator::plan) at the edge, and [`Plan::share`] once for each unit;
/// 3. [`may_hand_over`](Coordinator::may_hand_over) before it sends a batch to the notifier;
/// 4. [`finished`](Coordinator::finished) for each unit when the receipts of its samples have resolved, or
///    [`gave_up`](Coordinator::gave_up).
///
/// In parallel, the engine calls [`next_work`](Coordinator::next_work) in a loop. Host groups do not use a coordinator.
#[async_trait]
pub trait Coordinator: Send + Sync + 'static {
    /// Registers the shared units of this agent. The engine calls it at the start and at each reload, before the schedules
    /// change. It does not wait until other agents know the units: the engine checks each plan for that.
    async fn register(&self, registration: Registration);

    /// Announces that the edge of a cycle with shared units is at most about two seconds away, so that a plan can be made.
    /// `edge` is the cycle's nominal start on the monotonic clock, `interval` the time until the next edge.
    ///
    /// This method must not wait. It is called again for the same cycle after a reload. It is not called for a cycle whose
    /// edge had passed before the engine saw it (the process was stopped, the clock was set forward): `plan` may be called
    /// without it.
    fn prepare(&self, cycle: &CycleId, edge: Instant, interval: Duration);

    /// Returns the assignment of this agent in this cycle. The engine calls it once, at the edge or later. It waits at most
    /// until one request timeout after the edge.
    ///
    /// # Errors
    ///
    /// [`NoPlan`]: this agent polls no shared unit in this cycle. It fails at once for a schedule without a registered
    /// unit, and after [`stopping`](Coordinator::stopping).
    async fn plan(&self, cycle: &CycleId) -> Result<Assignment, NoPlan>;

    /// Waits for work outside of the edges: a cycle in progress, or a takeover. A backend without such work never returns.
    ///
    /// One task of the engine calls it in a loop and drops the future when the agent stops. Dropping the future must not
    /// lose work.
    async fn next_work(&self) -> Work;

    /// The fence: returns whether samples of `units` that were polled in `work` may be sent to the notifier. `finished` is
    /// the time of the last sample.
    ///
    /// The engine calls it for each batch, also after the work was cancelled: samples from before the lease's deadline may
    /// still be sent. While the lease is unconfirmed it may wait for one request timeout, which is at most
    /// [`MAX_ANSWER_TIME`].
    async fn may_hand_over(&self, work: &WorkId, units: &[Unit], finished: BootTime) -> bool;

    /// Reports that this agent's share of `unit` in `work` was polled and that every sample's receipt has resolved. A
    /// failed poll counts as polled. Called at most once for a unit of a work item, and not after `gave_up`.
    fn finished(&self, work: &WorkId, unit: &Unit);

    /// Reports that this agent will not finish its share of `unit` in `work`: the service is unreachable from here, the
    /// work was cancelled, the fence rejected it, or the agent stops. The next member of the ranking may take over. Called
    /// at most once for a unit of a work item, and not after `finished`.
    fn gave_up(&self, work: &WorkId, unit: &Unit);

    /// Reports a skipped cycle, because the previous one still runs. It is counted, and no agent takes it over.
    fn skipped(&self, cycle: &CycleId);

    /// Announces that the agent stops and must not be listed in further plans. The engine starts no more cycles and accepts
    /// no more work. A share that an existing plan assigns to this agent, in a cycle that has not started, is given up at
    /// once. Running work continues.
    async fn stopping(&self);

    /// Leaves the pool and gives up everything that is neither finished nor given up. The engine calls it once, when the
    /// last cycle has ended and its receipts were awaited, and drops the future at most a second after the shutdown
    /// deadline.
    async fn leave(&self);
}

/// The shared units of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registration {
    /// The shared units, each once.
    pub units: Vec<Unit>,
    /// A digest of the meters that are configured for these units. Agents with the same units and different digests have
    /// different configurations, and the samples of a resource then depend on its owner.
    pub meters: u64,
    /// The cycles in progress of the schedules with shared units, each once. If a schedule has no plan yet, its first plan
    /// may be for that cycle.
    pub in_progress: Vec<InProgress>,
}

/// A cycle between its edge and the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InProgress {
    /// The cycle.
    pub cycle: CycleId,
    /// Its nominal start on the monotonic clock.
    pub edge: Instant,
    /// The time from its edge to the next.
    pub interval: Duration,
}

/// The assignment of this agent in a work item.
#[derive(Clone)]
pub struct Assignment {
    /// The division of the units.
    pub plan: Arc<dyn Plan>,
    /// Cancelled when other agents have taken the work: polls of shared units end at once.
    pub cancelled: CancellationToken,
}

impl fmt::Debug for Assignment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Assignment")
            .field("cancelled", &self.cancelled)
            .finish_non_exhaustive()
    }
}

/// The division of one cycle, or of one takeover in it.
pub trait Plan: Send + Sync {
    /// Returns whether the plan lists this agent with exactly these units of its schedule. A reload takes effect for shared
    /// units with the first plan that does; until then the previous configuration is polled.
    fn lists(&self, units: &[Unit]) -> bool;

    /// Returns this agent's share of `unit`.
    fn share(&self, unit: &Unit) -> Share;

    /// Returns the number of agents that divide the unit, including this one.
    fn members(&self, unit: &Unit) -> NonZeroUsize;
}

/// One agent's share of a unit.
#[derive(Clone)]
pub enum Share {
    /// Empty: the unit need not be discovered.
    None,
    /// The whole unit: it is partitioned by discovery, or the agent is alone.
    All,
    /// The resources for whose key the function returns true. It is called once for each discovered resource.
    Resources(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Share {
    /// Returns whether the share is certainly empty.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns whether the share contains the resource with this key.
    pub fn contains(&self, key: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Resources(owns) => owns(key),
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::None => "None",
            Self::All => "All",
            Self::Resources(_) => "Resources",
        })
    }
}

/// A cycle, or a takeover in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkId {
    /// The cycle.
    pub cycle: CycleId,
    /// The number of the takeover, unique within this process; `None` for the cycle's own work.
    pub takeover: Option<u64>,
}

impl WorkId {
    /// Creates the id of the cycle's own work.
    pub fn of(cycle: CycleId) -> Self {
        Self {
            cycle,
            takeover: None,
        }
    }
}

impl fmt::Display for WorkId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.cycle)?;
        match self.takeover {
            Some(number) => write!(out, " takeover {number}"),
            None => Ok(()),
        }
    }
}

/// Work outside of the edges.
#[derive(Debug, Clone)]
pub enum Work {
    /// The first plan of a schedule is for the cycle in progress. The engine polls its shared units now, unless it already
    /// has. [`Coordinator::plan`] returns the assignment, as at an edge.
    InProgress {
        /// The cycle.
        cycle: CycleId,
        /// Its nominal start on the monotonic clock.
        edge: Instant,
        /// The time from its edge to the next.
        interval: Duration,
    },
    /// This agent takes over what other agents did not finish in a cycle. The engine discovers and polls it in parallel to
    /// other work.
    Takeover {
        /// The cycle, and the number of the takeover.
        id: WorkId,
        /// The time after which the takeover is pointless.
        until: Instant,
        /// The units to poll.
        units: Vec<Unit>,
        /// [`Plan::share`] contains only the resources that became this agent's and are not finished.
        assignment: Assignment,
    },
}

/// The cycle has no plan, or the plan does not list this agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlan {
    /// The reason, for the log and readiness.
    pub reason: String,
}
