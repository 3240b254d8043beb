//! What the oracle says.

use std::collections::BTreeMap;
use std::fmt;

use super::run::Cycle;

/// What does not fit, or had to be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nobody wrote a sample.
    Missing,
    /// Written more than once, each time by one whose turn it was by then. The only kind that is no violation.
    DoubledExplained,
    /// Written more than once, and not all of it follows from what happened.
    DoubledUnexplained,
    /// Written by an agent to which no plan gave it: it is not in the plan, does not carry the unit, or those before it were there.
    OutsidePlan,
    /// Taken over later than a lease and a second after its owner had fallen silent.
    TakenOverLate,
    /// Polled after its agent's lease had gone while others carried on, and written all the same.
    AfterFence,
    /// The same sample with two ids.
    OtherId,
    /// A second plan for a cycle, or one that is older than the plan before it.
    PlanChanged,
    /// A member came back with the incarnation that it had before.
    IncarnationReused,
    /// What an agent counts as not polled is not what it says of its cycles.
    Miscounted,
}

impl Kind {
    /// Whether it breaks a promise.
    #[must_use]
    pub fn is_violation(self) -> bool {
        self != Self::DoubledExplained
    }
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// One sample that was to come.
    Sample {
        /// The cycle.
        cycle: Cycle,
        /// The key.
        resource: String,
        /// The meter.
        meter: String,
    },
    /// A cycle.
    Cycle(Cycle),
    /// A schedule of an agent.
    Schedule(String),
    /// An agent.
    Agent,
}

/// One thing that the oracle has found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// Of which agents.
    pub agents: Vec<String>,
    /// How it was found, for people.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.kind)?;
        match &self.place {
            Place::Sample {
                cycle,
                resource,
                meter,
            } => write!(out, " {meter} of {resource} in {cycle}")?,
            Place::Cycle(cycle) => write!(out, " {cycle}")?,
            Place::Schedule(schedule) => write!(out, " {schedule}")?,
            Place::Agent => {}
        }
        write!(out, " [{}]: {}", self.agents.join(", "), self.why)
    }
}

/// A resource that had nobody in the midst of a cycle, for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The cycle.
    pub cycle: Cycle,
    /// How long, in seconds: from the edge, or when the last that came before its successor fell silent in the cycle, to the begin of the
    /// run in which the successor polled it.
    pub silent: f64,
    /// How much of that was after etcd had shown that all who came before were out.
    pub known: f64,
    /// How long it may be: a lease and a second, as much longer as etcd kept a key beyond its lease, and what the harness may be late.
    pub bound: f64,
}

/// The judgement on a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// How many (resource, meter, cycle) were judged. A run that judges few proves little.
    pub judged: usize,
    /// How many of them were left out, since their owner had said that it did not poll, or nothing was promised.
    pub excused: usize,
    /// What was found.
    pub findings: Vec<Finding>,
    /// How long what was taken over in the midst of a cycle had nobody.
    pub gaps: Vec<Gap>,
}

impl Verdict {
    /// How many of each kind.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.kind).or_insert(0) += 1;
        }
        counts
    }

    /// What breaks a promise.
    pub fn violations(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.kind.is_violation())
    }
}
