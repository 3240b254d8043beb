//! What the engine has counted, for the metrics and the admin API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Histogram, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;

use crate::record::{CycleRecord, FailureCounts, FailureNote, as_text};
use crate::setaside::SetAsideResource;

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
    /// How long runs took.
    pub durations: Histogram,
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
    /// How long discoveries took.
    pub durations: Histogram,
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
            total.durations.add(seconds(poll.duration));
        }
        for listing in &record.listings {
            let total = totals.listings.entry(listing.listing.clone()).or_default();
            total.runs += 1;
            total.resources = listing.resources;
            let is_error = listing.failure.as_ref().is_some_and(FailureNote::is_error);
            total.failures += u64::from(is_error);
            total.durations.add(seconds(listing.duration));
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
    /// How long cycles took, in seconds.
    pub durations: Histogram,
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
    use nephoscope_model::{CycleId, ScheduleId};

    use super::*;
    use crate::record::{ListingRecord, PollRecord};

    #[test]
    fn durations_of_polls_and_discoveries_are_in_their_buckets() {
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
            listings: vec![ListingRecord {
                listing: "volumes".into(),
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
        assert_eq!(filled(&totals.listings()["volumes"].durations), [30.0]);
    }
}
