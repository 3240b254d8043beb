//! The oracle of chaos runs: judges the samples of agents by the plans.
//!
//! A run produces a [`Run`]: every sample with the agent that wrote it, the plans and the membership changes in etcd, the
//! cycles that the agents counted as not polled, and the injected faults. [`judge`] computes for each resource, meter and
//! cycle its owner and its rightful successors, and reports each violation.
//!
//! All processes run on one machine: times are seconds of its boot clock, which all of them share.

mod gap;
mod judge;
mod run;
mod samples;
mod verdict;

#[cfg(test)]
mod tests;

pub use judge::judge;
pub use run::{
    Counted, Cycle, Effect, Fault, GaveUp, Gone, Joined, Lease, Meter, Plan, PlanMember, Ranking, Resource,
    Run, Schedule, Silence, Skipped, Written,
};
pub use samples::{Files, Unknown};
pub use verdict::{Finding, Gap, Kind, Place, Verdict};
