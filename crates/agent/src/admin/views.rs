//! The bodies of `/api/v1/`: what programs read. Times are UTC, durations seconds.

use std::sync::Arc;

use nephoscope_notifier::{Counts, PublisherState, PublisherStatus};
use nephoscope_polling::record::CycleRecord;
use nephoscope_polling::setaside::SetAsideResource;
use nephoscope_polling::stats::{
    Histogram, LATENESS_BUCKETS, ListingTotals, PollsterTotals, RunStatus, SchedulerStatus, TaskStatus,
};
use serde::Serialize;
use tokio::time::Instant;

use crate::admin::state::AdminState;
use crate::metrics::state_word;

/// `/api/v1/tasks`
#[derive(Serialize)]
pub(crate) struct Tasks {
    scheduler: SchedulerStatus,
    tasks: Vec<Task>,
}

#[derive(Serialize)]
struct Task {
    schedule: String,
    schedule_id: String,
    sources: Vec<String>,
    runs: Vec<RunStatus>,
    next: Option<String>,
    running: bool,
    cycles: u64,
    successions: u64,
    overruns: u64,
    missed: u64,
    repeated: u64,
    lateness: Lateness,
    last_duration: Option<f64>,
}

/// How late cycles started.
#[derive(Serialize)]
struct Lateness {
    count: u64,
    sum: f64,
    buckets: Vec<Bucket>,
}

/// How many were at most this late; the last has no bound.
#[derive(Serialize)]
struct Bucket {
    at_most: Option<f64>,
    count: u64,
}

impl From<TaskStatus> for Task {
    fn from(task: TaskStatus) -> Self {
        Self {
            schedule: task.schedule,
            schedule_id: task.schedule_id,
            sources: task.sources,
            runs: task.runs,
            next: task.next,
            running: task.running,
            cycles: task.cycles,
            successions: task.successions,
            overruns: task.overruns,
            missed: task.missed,
            repeated: task.repeated,
            lateness: task.lateness.into(),
            last_duration: task.last_duration,
        }
    }
}

impl From<Histogram> for Lateness {
    fn from(histogram: Histogram) -> Self {
        let bounds = LATENESS_BUCKETS.into_iter().map(Some).chain([None]);
        Self {
            count: histogram.counts.last().copied().unwrap_or(0),
            sum: histogram.sum,
            buckets: bounds
                .zip(histogram.counts)
                .map(|(at_most, count)| Bucket { at_most, count })
                .collect(),
        }
    }
}

pub(crate) fn tasks(state: &AdminState) -> Tasks {
    let engine = state.engine();
    Tasks {
        scheduler: engine.scheduler(),
        tasks: engine.tasks().into_iter().map(Task::from).collect(),
    }
}

/// `/api/v1/cycles`
#[derive(Serialize)]
pub(crate) struct Cycles {
    cycles: Vec<Arc<CycleRecord>>,
}

pub(crate) fn cycles(state: &AdminState, limit: usize) -> Cycles {
    let mut cycles = state.engine().records();
    cycles.truncate(limit);
    Cycles { cycles }
}

/// `/api/v1/resources`
#[derive(Serialize)]
pub(crate) struct Resources {
    set_aside: Vec<SetAside>,
    hanging: Vec<Hanging>,
    listings: Vec<Listing>,
    pollsters: Vec<PollsterCounts>,
}

#[derive(Serialize)]
struct SetAside {
    schedule: String,
    pollster: Arc<str>,
    /// All of them.
    count: usize,
    /// As many as were asked for.
    resources: Vec<SetAsideResource>,
}

#[derive(Serialize)]
struct Hanging {
    schedule: String,
    pollster: Arc<str>,
}

#[derive(Serialize)]
struct Listing {
    listing: String,
    #[serde(flatten)]
    totals: ListingTotals,
}

#[derive(Serialize)]
struct PollsterCounts {
    pollster: Arc<str>,
    #[serde(flatten)]
    totals: PollsterTotals,
}

pub(crate) fn resources(state: &AdminState, limit: usize) -> Resources {
    let snapshot = state.snapshot();
    let hanging = snapshot.set_aside.iter().filter(|status| status.hangs);
    let hanging = hanging
        .map(|status| Hanging {
            schedule: status.schedule.clone(),
            pollster: status.pollster.clone(),
        })
        .collect();
    let set_aside = snapshot
        .set_aside
        .into_iter()
        .filter(|status| !status.resources.is_empty());
    let set_aside = set_aside
        .map(|mut status| {
            let count = status.resources.len();
            status.resources.truncate(limit);
            SetAside {
                schedule: status.schedule,
                pollster: status.pollster,
                count,
                resources: status.resources,
            }
        })
        .collect();
    let listings = snapshot
        .listings
        .into_iter()
        .map(|(listing, totals)| Listing { listing, totals });
    let pollsters = snapshot.pollsters.into_iter();
    Resources {
        set_aside,
        hanging,
        listings: listings.collect(),
        pollsters: pollsters
            .map(|(pollster, totals)| PollsterCounts { pollster, totals })
            .collect(),
    }
}

/// `/api/v1/publishers`
#[derive(Serialize)]
pub(crate) struct Publishers {
    publishers: Vec<Publisher>,
}

#[derive(Serialize)]
struct Publisher {
    name: Arc<str>,
    url: String,
    state: &'static str,
    /// How long it has been retrying or blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    for_seconds: Option<f64>,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Arc<str>>,
    /// Failures in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    queue: Queue,
    samples: Tally,
    batches: Tally,
    retries: u64,
    timeouts: u64,
    panics: u64,
}

#[derive(Serialize)]
struct Queue {
    samples: usize,
    batches: usize,
    limit_samples: usize,
    oldest_seconds: Option<f64>,
}

#[derive(Serialize)]
struct Tally {
    submitted: u64,
    delivered: u64,
    dropped: u64,
    refused: u64,
}

impl Publisher {
    fn new(status: PublisherStatus, now: Instant) -> Self {
        let (since, error, attempts) = match &status.state {
            PublisherState::Retrying {
                since,
                error,
                attempts,
            } => (Some(*since), Some(error.clone()), Some(*attempts)),
            PublisherState::Blocked {
                since,
                error,
                attempts,
                ..
            } => (Some(*since), error.clone(), Some(*attempts)),
            PublisherState::Idle
            | PublisherState::Delivering
            | PublisherState::Draining { .. }
            | PublisherState::Stopped => (None, None, None),
        };
        let Counts {
            retries,
            timeouts,
            panics,
            ..
        } = status.counts;
        Self {
            state: state_word(&status.state),
            for_seconds: since.map(|since| now.saturating_duration_since(since).as_secs_f64()),
            error,
            attempts,
            queue: Queue {
                samples: status.queued_samples,
                batches: status.queued_batches,
                limit_samples: status.bound,
                oldest_seconds: status.oldest.map(|oldest| oldest.as_secs_f64()),
            },
            samples: Tally {
                submitted: status.counts.submitted_samples,
                delivered: status.counts.delivered_samples,
                dropped: status.counts.dropped_samples,
                refused: status.counts.refused_samples,
            },
            batches: Tally {
                submitted: status.counts.submitted_batches,
                delivered: status.counts.delivered_batches,
                dropped: status.counts.dropped_batches,
                refused: status.counts.refused_batches,
            },
            retries,
            timeouts,
            panics,
            name: status.name,
            url: status.url_shown,
        }
    }
}

pub(crate) fn publishers(state: &AdminState) -> Publishers {
    let now = Instant::now();
    let publishers = state.notifier().status().into_iter();
    Publishers {
        publishers: publishers.map(|status| Publisher::new(status, now)).collect(),
    }
}
