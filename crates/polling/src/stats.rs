//! Counters of the engine, for the metrics and the admin API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Histogram, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;

use crate::backed_off::BackedOffResource;
use crate::record::{CycleRecord, FailureCounts, FailureNote, as_text};

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
    /// The durations of runs.
    pub durations: Histogram,
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
    /// The durations of runs.
    pub durations: Histogram,
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
            total.durations.add(seconds(poll.duration));
        }
        for run in &record.discovery_runs {
            let total = totals.discoveries.entry(run.discovery.clone()).or_default();
            total.runs += 1;
            total.resources = run.resources;
            let is_error = run.failure.as_ref().is_some_and(FailureNote::is_error);
            total.failures += u64::from(is_error);
            total.durations.add(seconds(run.duration));
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
    /// The durations of cycles, in seconds.
    pub durations: Histogram,
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
    use nephoscope_model::{CycleId, ScheduleId};

    use super::*;
    use crate::record::{DiscoveryRecord, PollRecord};

    #[test]
    fn durations_of_polls_and_discoveries_are_counted_in_their_buckets() {
        let totals = Totals::default();
        totals.add(&CycleRecord {
            schedule: "every 5m".into(),
            cycle: CycleId::new(ScheduleId::new("every:300:0"), Timestamp::from_millis(0), 0),
            started: Timestamp::from_millis(0),
            lateness: None,
            duration: Duration::ZERO,
            resources: 0,
            samples: 0,
            failures: FailureCounts::default(),
            discovery_runs: vec![DiscoveryRecord {
                discovery: "volumes".into(),
                resources: 0,
                failure: None,
                duration: Duration::from_secs(20),
            }],
            polls: vec![PollRecord {
                pollster: "disk".into(),
                duration: Duration::from_millis(30),
                ..PollRecord::default()
            }],
            takeover: None,
            no_plan: None,
        });
        let filled = |histogram: &Histogram| -> Vec<f64> {
            let buckets = histogram.buckets().filter(|(_, count)| *count > 0);
            buckets.map(|(bound, _)| bound).collect()
        };
        assert_eq!(filled(&totals.pollsters()["disk"].durations), [0.05]);
        assert_eq!(filled(&totals.discoveries()["volumes"].durations), [30.0]);
    }
}
