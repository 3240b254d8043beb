//! The oracle of chaos runs: what agents wrote, judged by who was to write it.
//!
//! A run leaves a [`Run`]: every sample with the agent that wrote it, the plans and the comings and goings of members as etcd
//! showed them, what the agents counted as not polled, and the faults that were done to them. [`judge`] knows for each
//! resource, meter and cycle who owned it, who was the rightful successor and when, and says what does not fit.
//!
//! All of it happens on one machine: times are seconds on its boot clock, which every process reads alike.

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
