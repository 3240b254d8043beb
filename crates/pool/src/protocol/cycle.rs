//! A cycle from the view of one agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::BootTime;

use super::division::{Claim, Division};
use super::event::Edge;
use super::ids::{Incarnation, UnitHash};
use super::mark::Step;
use super::member::UnitSet;
use super::plan::Plan;

/// A cycle, from shortly before its edge until nothing of it can be taken over any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Cycle {
    pub(super) edge: Edge,
    /// The time until which the engine's request for the plan waits.
    pub(super) plan_deadline: BootTime,
    /// The earliest time at which this agent writes a missing plan; `None` if it may not.
    pub(super) write_from: Option<BootTime>,
    /// The earliest retry after a failed write.
    pub(super) not_before: Option<BootTime>,
    /// Whether this agent has tried to write the plan.
    pub(super) written: bool,
    /// Whether the plan was read since the edge.
    pub(super) read: bool,
    /// Whether the missing plan was reported.
    pub(super) reported: bool,
    pub(super) stage: Stage,
}

/// The stage of a cycle at one agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// The engine has not requested the plan yet, or waits for it.
    Pending,
    /// The engine knows that there is no plan, and polls nothing. A late plan can change that.
    Idle,
    /// The engine skipped the cycle, or does not start it because the agent stops, or it has no share.
    Closed,
    /// The engine works on it.
    Started(Box<Started>),
}

/// An agent's work in a cycle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Started {
    /// The division of the cycle's own work.
    pub(super) division: Arc<Division>,
    /// The plan of the cycle and this agent's number in it; `None` while the cycle runs by earlier plans.
    pub(super) plan: Option<(Arc<Plan>, usize)>,
    /// The membership at the start of the work, if there was one.
    pub(super) incarnation: Option<Incarnation>,
    pub(super) membership: MembershipState,
    pub(super) units: BTreeMap<UnitHash, Progress>,
}

/// The state of the membership under which a cycle was started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum MembershipState {
    /// It is valid as far as is known.
    Valid,
    /// It is lost; whether other members have the work is not known yet.
    Lost {
        /// The lease's deadline.
        deadline: BootTime,
    },
    /// It is lost, and the units without another candidate are known.
    Resolved {
        /// The lease's deadline.
        deadline: BootTime,
        /// Units of which this agent is the last candidate in the plan.
        sole_units: UnitSet,
    },
}

/// The progress of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Progress {
    /// Work items that are not finished; `None` is the cycle's own.
    pub(super) running: BTreeSet<Option<u64>>,
    /// The claimed steps in order; empty while there is no plan.
    pub(super) steps: Vec<ClaimedStep>,
    /// The unit was left to other members because the membership is lost.
    pub(super) left: bool,
}

/// A claimed part of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ClaimedStep {
    /// The numbers of the plan's members that were out.
    pub(super) out: BTreeSet<u32>,
    /// The work items of the step.
    pub(super) works: BTreeSet<Option<u64>>,
}

impl Progress {
    /// Creates the progress of the cycle's own work, which is not a step of a shared plan.
    pub(super) fn own() -> Self {
        Self {
            running: BTreeSet::from([None]),
            steps: Vec::new(),
            left: false,
        }
    }
}

impl Cycle {
    /// Creates a cycle that waits this long after its edge for its plan.
    pub(super) fn new(edge: Edge, plan_timeout: Duration) -> Self {
        Self {
            plan_deadline: edge.edge.plus(plan_timeout),
            edge,
            write_from: None,
            not_before: None,
            written: false,
            read: false,
            reported: false,
            stage: Stage::Pending,
        }
    }

    pub(super) fn end(&self) -> BootTime {
        self.edge.edge.plus(self.edge.interval)
    }

    pub(super) fn started(&self) -> Option<&Started> {
        match &self.stage {
            Stage::Started(started) => Some(started),
            _ => None,
        }
    }

    pub(super) fn started_mut(&mut self) -> Option<&mut Started> {
        match &mut self.stage {
            Stage::Started(started) => Some(started),
            _ => None,
        }
    }
}

impl Started {
    /// Returns the marks of this cycle.
    pub(super) fn marks(&self) -> BTreeMap<UnitHash, Vec<Step>> {
        let marked = |progress: &Progress| -> Vec<Step> {
            let step = |claimed: &ClaimedStep| Step {
                out: claimed.out.clone(),
                finished: claimed.works.is_disjoint(&progress.running),
            };
            progress.steps.iter().map(step).collect()
        };
        let mut marks: BTreeMap<_, _> = self
            .units
            .iter()
            .map(|(unit, progress)| (*unit, marked(progress)))
            .collect();
        // A unit without a finished step needs no mark.
        marks.retain(|_, steps: &mut Vec<Step>| steps.iter().any(|step| step.finished));
        marks
    }

    /// Returns whether all work of all units is finished.
    pub(super) fn finished(&self) -> bool {
        self.units.values().all(|progress| progress.running.is_empty())
    }

    /// Returns this agent's claim on a unit in the cycle's own work.
    pub(super) fn claim(&self, unit: UnitHash) -> Option<Arc<Claim>> {
        let mut claims = self.division.claims.values();
        claims
            .find(|(hash, _)| *hash == unit)
            .map(|(_, claim)| claim.clone())
    }
}
