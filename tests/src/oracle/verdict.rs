//! The result of the oracle.

use std::collections::BTreeMap;
use std::fmt;

use super::run::Cycle;

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A sample is missing.
    Missing,
    /// Written more than once, each time in the writer's turn. The only kind that is no violation.
    DoubledExplained,
    /// Written more than once, and the events do not explain it.
    DoubledUnexplained,
    /// Written by an agent without the resource: it is not in the plan, does not carry the unit, or members before it were
    /// alive.
    OutsidePlan,
    /// Taken over later than a lease and a second after its owner fell silent.
    TakenOverLate,
    /// Written although it was polled after the agent's lease had ended while other carriers were alive.
    AfterFence,
    /// The same sample with two ids.
    OtherId,
    /// A second plan for a cycle, or an older one than the previous plan.
    PlanChanged,
    /// A member returned with the same incarnation.
    IncarnationReused,
    /// An agent's counter of cycles that were not polled differs from its reports.
    Miscounted,
}

impl Kind {
    /// Returns whether it violates a guarantee.
    #[must_use]
    pub fn is_violation(self) -> bool {
        self != Self::DoubledExplained
    }
}

/// The location of a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// One expected sample.
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

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The kind.
    pub kind: Kind,
    /// The location.
    pub place: Place,
    /// The agents.
    pub agents: Vec<String>,
    /// The explanation, for people.
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

/// A time during a cycle in which a resource had no owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The cycle.
    pub cycle: Cycle,
    /// The duration, in seconds: from the edge, or from when the last member before the successor fell silent in the cycle,
    /// to the start of the run in which the successor polled it.
    pub silent: f64,
    /// The part of it after etcd had shown that all members before were out.
    pub known: f64,
    /// The allowed duration: a lease and a second, plus the time that etcd kept a key beyond its lease, plus the delay of the
    /// harness.
    pub bound: f64,
}

/// The judgement of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// The number of judged (resource, meter, cycle) triples. A run with few proves little.
    pub judged: usize,
    /// The number of excused triples: the owner reported that it did not poll, or no guarantee held.
    pub excused: usize,
    /// The findings.
    pub findings: Vec<Finding>,
    /// The gaps of takeovers during a cycle.
    pub gaps: Vec<Gap>,
}

impl Verdict {
    /// Returns the number of findings of each kind.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.kind).or_insert(0) += 1;
        }
        counts
    }

    /// Returns the findings that violate a guarantee.
    pub fn violations(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.kind.is_violation())
    }
}
