//! What the engine has counted, for the metrics and the admin API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use crate::record::{CycleRecord, FailureCounts, FailureNote, as_text};
use crate::setaside::SetAsideResource;

/// Upper bounds of the lateness histogram, in seconds.
pub const LATENESS_BUCKETS: [f64; 10] = [0.001, 0.002, 0.003, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

/// Values in buckets, and their sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Histogram {
    /// How many values were at most as large as each bound; the last place counts all.
    pub counts: [u64; LATENESS_BUCKETS.len() + 1],
    /// The sum of all values.
    pub sum: f64,
}

impl Histogram {
    /// Adds a value, in seconds.
    pub fn add(&mut self, seconds: f64) {
        self.sum += seconds;
        for (count, bound) in self
            .counts
            .iter_mut()
            .zip(LATENESS_BUCKETS.iter().chain([&f64::INFINITY]))
        {
            if seconds <= *bound {
                *count += 1;
            }
        }
    }
}

/// What a pollster has done since the agent started.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PollsterTotals {
    /// Runs.
    pub runs: u64,
    /// Resources that were reported on.
    pub resources: u64,
    /// Samples that were handed to the notifier.
    pub samples: u64,
    /// Samples that were not handed over, since the membership was lost.
    pub fenced: u64,
    /// Resources passed over, since they are set aside.
    pub set_aside: u64,
    /// Failures by kind.
    pub failures: FailureCounts,
    /// Time in runs, in seconds.
    pub seconds: f64,
}

/// What a discovery URL has given since the agent started.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ListingTotals {
    /// Listings.
    pub runs: u64,
    /// Resources of the last one.
    pub resources: u64,
    /// Listings that failed.
    pub failures: u64,
}

/// Totals over all cycles.
#[derive(Debug, Default)]
pub struct Totals(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    pollsters: BTreeMap<Arc<str>, PollsterTotals>,
    listings: BTreeMap<Arc<str>, ListingTotals>,
}

impl Totals {
    /// Counts a cycle.
    pub fn add(&self, record: &CycleRecord) {
        let mut totals = self.0.lock();
        for poll in &record.polls {
            let total = totals.pollsters.entry(poll.pollster.clone()).or_default();
            total.runs += 1;
            total.resources += poll.resources;
            total.samples += poll.samples;
            total.fenced += poll.fenced;
            total.set_aside += poll.set_aside;
            total.failures.add_all(&poll.failures);
            total.seconds += poll.duration.as_secs_f64();
        }
        for listing in &record.listings {
            let total = totals.listings.entry(listing.listing.clone()).or_default();
            total.runs += 1;
            total.resources = listing.resources;
            let is_error = listing.failure.as_ref().is_some_and(FailureNote::is_error);
            total.failures += u64::from(is_error);
        }
    }

    /// By pollster.
    pub fn pollsters(&self) -> BTreeMap<Arc<str>, PollsterTotals> {
        self.0.lock().pollsters.clone()
    }

    /// By discovery URL.
    pub fn listings(&self) -> BTreeMap<Arc<str>, ListingTotals> {
        self.0.lock().listings.clone()
    }
}

/// A task as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct TaskStatus {
    /// `every 5m`.
    pub schedule: String,
    /// `every:300:0`.
    pub schedule_id: String,
    /// The names of its sources.
    pub sources: Vec<String>,
    /// Its pollster runs.
    pub runs: Vec<RunStatus>,
    /// The next edge.
    pub next: Option<String>,
    /// Whether a cycle runs now.
    pub running: bool,
    /// Cycles that have ended.
    pub cycles: u64,
    /// Takeovers that have ended: what others had left undone in a cycle.
    pub takeovers: u64,
    /// Cycles that were skipped, since the one before still ran.
    pub overruns: u64,
    /// Edges that were passed over by a step of the clock or a stop of the process.
    pub missed: u64,
    /// Cycles whose identity had run before.
    pub repeated: u64,
    /// How late cycles started, in seconds.
    pub lateness: Histogram,
    /// How long the last cycle took, in seconds.
    pub last_duration: Option<f64>,
}

/// A pollster run of a task as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct RunStatus {
    /// The pollster.
    pub pollster: Arc<str>,
    /// The wanted meters.
    pub meters: Vec<Arc<str>>,
    /// Where its resources come from.
    pub listings: Vec<Arc<str>>,
    /// What is asked where `listings` list nothing at all: the pollster's default discovery.
    pub fallbacks: Vec<Arc<str>>,
}

/// Resources that a pollster has set aside on a schedule.
#[derive(Debug, Clone, Serialize)]
pub struct SetAsideStatus {
    /// The schedule.
    pub schedule: String,
    /// The pollster.
    pub pollster: Arc<str>,
    /// Whether a run blocks its thread, so that the pollster is not started again until it ends.
    pub hangs: bool,
    /// The resources.
    pub resources: Vec<SetAsideResource>,
}

/// How the scheduler is.
#[derive(Debug, Clone, Serialize)]
pub struct SchedulerStatus {
    /// Since the last wake-up, in seconds; more than three says that it is stuck.
    pub since_tick: f64,
    /// Steps of the wall clock that were seen.
    pub clock_steps: u64,
    /// How often the job scheduler fell silent and was started anew.
    pub restarts: u64,
    /// The wall clock.
    #[serde(serialize_with = "as_text")]
    pub now: Timestamp,
}

/// Seconds of a duration.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_all_that_is_at_most_their_bound() {
        let mut histogram = Histogram::default();
        histogram.add(0.002);
        histogram.add(0.004);
        histogram.add(60.0);
        assert_eq!(histogram.counts, [0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3]);
    }
}
