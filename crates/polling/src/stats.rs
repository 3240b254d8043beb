//! Counters of the engine, for the metrics and the admin API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use crate::backed_off::BackedOffResource;
use crate::record::{CycleRecord, FailureCounts, FailureNote, as_text};

/// Upper bounds of the lateness histogram, in seconds.
pub const LATENESS_BUCKETS: [f64; 10] = [0.001, 0.002, 0.003, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

/// Values in buckets, and their sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Histogram {
    /// How many values were at most as large as each bound; the last one counts all values.
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

/// Totals of a pollster since the start of the agent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PollsterTotals {
    /// The number of runs.
    pub runs: u64,
    /// Resources that were reported on.
    pub resources: u64,
    /// Samples that were submitted to the notifier.
    pub samples: u64,
    /// Samples that were discarded because the membership was lost.
    pub fenced: u64,
    /// Resources that were skipped while backed off.
    pub backed_off: u64,
    /// Failures by kind.
    pub failures: FailureCounts,
    /// Time in runs, in seconds.
    pub seconds: f64,
}

/// Totals of a discovery URL since the start of the agent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DiscoveryTotals {
    /// The number of discovery runs.
    pub runs: u64,
    /// The resources of the last run.
    pub resources: u64,
    /// The number of failed runs.
    pub failures: u64,
}

/// Totals over all cycles.
#[derive(Debug, Default)]
pub struct Totals(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    pollsters: BTreeMap<Arc<str>, PollsterTotals>,
    discoveries: BTreeMap<Arc<str>, DiscoveryTotals>,
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
            total.backed_off += poll.backed_off;
            total.failures.add_all(&poll.failures);
            total.seconds += poll.duration.as_secs_f64();
        }
        for run in &record.discovery_runs {
            let total = totals.discoveries.entry(run.discovery.clone()).or_default();
            total.runs += 1;
            total.resources = run.resources;
            let is_error = run.failure.as_ref().is_some_and(FailureNote::is_error);
            total.failures += u64::from(is_error);
        }
    }

    /// The totals by pollster.
    pub fn pollsters(&self) -> BTreeMap<Arc<str>, PollsterTotals> {
        self.0.lock().pollsters.clone()
    }

    /// The totals by discovery URL.
    pub fn discoveries(&self) -> BTreeMap<Arc<str>, DiscoveryTotals> {
        self.0.lock().discoveries.clone()
    }
}

/// The status of a task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskStatus {
    /// The schedule, such as `every 5m`.
    pub schedule: String,
    /// The id of the schedule, such as `every:300:0`.
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
    /// Takeovers of other agents' work that have ended.
    pub takeovers: u64,
    /// Cycles that were skipped because the previous one was still running.
    pub overruns: u64,
    /// Edges that were missed because of a clock step or a stop of the process.
    pub missed: u64,
    /// Cycles whose identity had run before.
    pub repeated: u64,
    /// The lateness of cycle starts, in seconds.
    pub lateness: Histogram,
    /// The duration of the last cycle, in seconds.
    pub last_duration: Option<f64>,
}

/// The status of a pollster run of a task.
#[derive(Debug, Clone, Serialize)]
pub struct RunStatus {
    /// The pollster.
    pub pollster: Arc<str>,
    /// The collected meters.
    pub meters: Vec<Arc<str>>,
    /// The discoveries (or static lists) of its resources.
    pub discoveries: Vec<Arc<str>>,
    /// The pollster's default discovery, used if `discoveries` list nothing.
    pub fallbacks: Vec<Arc<str>>,
}

/// The backed-off resources of a pollster on a schedule.
#[derive(Debug, Clone, Serialize)]
pub struct BackedOffStatus {
    /// The schedule.
    pub schedule: String,
    /// The pollster.
    pub pollster: Arc<str>,
    /// Whether a run blocks its thread, so that the pollster is not started again until it returns.
    pub hung: bool,
    /// The resources.
    pub resources: Vec<BackedOffResource>,
}

/// The status of the scheduler.
#[derive(Debug, Clone, Serialize)]
pub struct SchedulerStatus {
    /// The time since the last tick in seconds; more than three means that the scheduler is stuck.
    pub last_tick_age_seconds: f64,
    /// The number of detected steps of the wall clock.
    pub clock_steps: u64,
    /// The number of restarts of the job scheduler after it stopped sending ticks.
    pub restarts: u64,
    /// The wall clock.
    #[serde(serialize_with = "as_text")]
    pub now: Timestamp,
}

/// A duration in seconds.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        histogram.add(0.002);
        histogram.add(0.004);
        histogram.add(60.0);
        assert_eq!(histogram.counts, [0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3]);
    }
}
