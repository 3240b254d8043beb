//! A cycle as one agent goes through it.

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

/// A cycle, from when its edge comes near until nobody can take anything of it over any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Cycle {
    pub(super) edge: Edge,
    /// Until when the engine's question for the plan waits.
    pub(super) patience: BootTime,
    /// Not before this a missing plan is written; `None` if not by this agent.
    pub(super) write_from: Option<BootTime>,
    /// A write failed: not before this it is written again.
    pub(super) not_before: Option<BootTime>,
    /// This agent has tried to write the plan.
    pub(super) written: bool,
    /// The plan was asked for since the edge.
    pub(super) read: bool,
    /// It was said that there is no plan in time.
    pub(super) noted: bool,
    pub(super) stage: Stage,
}

/// How far an agent is with a cycle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// The engine has not asked yet, or waits for the answer.
    Coming,
    /// The engine was told that it has nothing to do, for want of a plan. A plan that comes late can change that.
    Idle,
    /// The engine skipped it, or does not begin it since the agent stops, or was told for good that it has nothing to do.
    Over,
    /// The engine works on it.
    Begun(Box<Begun>),
}

/// What an agent does in a cycle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Begun {
    /// The cycle's own work.
    pub(super) division: Arc<Division>,
    /// The plan of the cycle and this agent's number in it; `None` as long as the cycle runs by former plans.
    pub(super) plan: Option<(Arc<Plan>, usize)>,
    /// The membership that the work is done under, if there was one.
    pub(super) incarnation: Option<Incarnation>,
    pub(super) fate: Fate,
    pub(super) units: BTreeMap<UnitHash, Progress>,
}

/// What became of the membership that a cycle was begun under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// As far as is known it lasts.
    Lasting,
    /// It is lost; whether others have the work is not known yet.
    Lost {
        /// The lease's deadline.
        deadline: BootTime,
    },
    /// It is lost, and it is known which units nobody else can have.
    Judged {
        /// The lease's deadline.
        deadline: BootTime,
        /// Units of which this agent is the last carrier of the plan.
        alone: UnitSet,
    },
}

/// How far one unit is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Progress {
    /// Works of which this agent has not said that they are finished; `None` is the cycle's own.
    pub(super) running: BTreeSet<Option<u64>>,
    /// What was taken on, in the order of time; empty as long as there is no plan.
    pub(super) steps: Vec<Taken>,
    /// It was left to others, for a membership that is lost.
    pub(super) left: bool,
}

/// A part of a unit that was taken on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Taken {
    /// Which members of the plan were out, by number.
    pub(super) out: BTreeSet<u32>,
    /// The works that it consists of.
    pub(super) works: BTreeSet<Option<u64>>,
}

impl Progress {
    /// The cycle's own work, which is no step of a plan that others follow.
    pub(super) fn own() -> Self {
        Self {
            running: BTreeSet::from([None]),
            steps: Vec::new(),
            left: false,
        }
    }
}

impl Cycle {
    /// A cycle whose plan is waited for so long after its edge.
    pub(super) fn new(edge: Edge, patience: Duration) -> Self {
        Self {
            patience: edge.edge.plus(patience),
            edge,
            write_from: None,
            not_before: None,
            written: false,
            read: false,
            noted: false,
            stage: Stage::Coming,
        }
    }

    pub(super) fn end(&self) -> BootTime {
        self.edge.edge.plus(self.edge.interval)
    }

    pub(super) fn begun(&self) -> Option<&Begun> {
        match &self.stage {
            Stage::Begun(begun) => Some(begun),
            _ => None,
        }
    }

    pub(super) fn begun_mut(&mut self) -> Option<&mut Begun> {
        match &mut self.stage {
            Stage::Begun(begun) => Some(begun),
            _ => None,
        }
    }
}

impl Begun {
    /// What is said of it in the marks.
    pub(super) fn marks(&self) -> BTreeMap<UnitHash, Vec<Step>> {
        let marked = |progress: &Progress| -> Vec<Step> {
            let step = |taken: &Taken| Step {
                out: taken.out.clone(),
                finished: taken.works.is_disjoint(&progress.running),
            };
            progress.steps.iter().map(step).collect()
        };
        let mut marks: BTreeMap<_, _> = self
            .units
            .iter()
            .map(|(unit, progress)| (*unit, marked(progress)))
            .collect();
        // What says nothing need not be written.
        marks.retain(|_, steps: &mut Vec<Step>| steps.iter().any(|step| step.finished));
        marks
    }

    /// Whether every work of every unit is finished.
    pub(super) fn finished(&self) -> bool {
        self.units.values().all(|progress| progress.running.is_empty())
    }

    /// What this agent polls of a unit in the cycle's own work.
    pub(super) fn claim(&self, unit: UnitHash) -> Option<Arc<Claim>> {
        let mut claims = self.division.claims.values();
        claims
            .find(|(hash, _)| *hash == unit)
            .map(|(_, claim)| claim.clone())
    }
}
