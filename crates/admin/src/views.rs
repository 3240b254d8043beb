//! The bodies of `/api/v1/`. Times are UTC, durations are in seconds.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Histogram, Timestamp};
use nephoscope_notifier::spool::{Spool, SpoolMode, SpoolStatus};
use nephoscope_notifier::{Counts, PublisherState, PublisherStatus};
use nephoscope_polling::backed_off::BackedOffResource;
use nephoscope_polling::record::CycleRecord;
use nephoscope_polling::stats::{DiscoveryTotals, PollsterTotals, RunStatus, SchedulerStatus, TaskStatus};
use serde::Serialize;
use tokio::time::Instant;

use crate::metrics::state_word;
use crate::spooled::SpooledEncoding;
use crate::state::AdminState;

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
    takeovers: u64,
    overruns: u64,
    missed: u64,
    repeated: u64,
    /// Delays between the scheduled and the actual start of cycles.
    lateness: Histogram,
    /// Durations of cycles.
    durations: Histogram,
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
            takeovers: task.takeovers,
            overruns: task.overruns,
            missed: task.missed,
            repeated: task.repeated,
            lateness: task.lateness,
            durations: task.durations,
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
    backed_off: Vec<BackedOff>,
    hung: Vec<Hung>,
    discoveries: Vec<DiscoveryCounts>,
    pollsters: Vec<PollsterCounts>,
}

#[derive(Serialize)]
struct BackedOff {
    schedule: String,
    pollster: Arc<str>,
    /// The number of all resources.
    count: usize,
    /// The first resources, up to the limit of the request.
    resources: Vec<BackedOffResource>,
}

#[derive(Serialize)]
struct Hung {
    schedule: String,
    pollster: Arc<str>,
}

#[derive(Serialize)]
struct DiscoveryCounts {
    discovery: String,
    #[serde(flatten)]
    totals: DiscoveryTotals,
}

#[derive(Serialize)]
struct PollsterCounts {
    pollster: Arc<str>,
    #[serde(flatten)]
    totals: PollsterTotals,
}

pub(crate) fn resources(state: &AdminState, limit: usize) -> Resources {
    let snapshot = state.snapshot();
    let hung = snapshot.backed_off.iter().filter(|status| status.hung);
    let hung = hung
        .map(|status| Hung {
            schedule: status.schedule.clone(),
            pollster: status.pollster.clone(),
        })
        .collect();
    let backed_off = snapshot
        .backed_off
        .into_iter()
        .filter(|status| !status.resources.is_empty());
    let backed_off = backed_off
        .map(|mut status| {
            let count = status.resources.len();
            status.resources.truncate(limit);
            BackedOff {
                schedule: status.schedule,
                pollster: status.pollster,
                count,
                resources: status.resources,
            }
        })
        .collect();
    let discoveries = snapshot
        .listings
        .into_iter()
        .map(|(discovery, totals)| DiscoveryCounts { discovery, totals });
    let pollsters = snapshot.pollsters.into_iter();
    Resources {
        backed_off,
        hung,
        discoveries: discoveries.collect(),
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
    /// The time in the state `retrying` or `blocked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    for_seconds: Option<f64>,
    /// The last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Arc<str>>,
    /// The number of consecutive failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    queue: Queue,
    #[serde(skip_serializing_if = "Option::is_none")]
    spool: Option<SpoolView>,
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

/// The spool of a publisher.
#[derive(Serialize)]
struct SpoolView {
    mode: &'static str,
    samples: u64,
    batches: u64,
    bytes: u64,
    limit_bytes: u64,
    /// The approximate time at which the oldest sample was stored.
    oldest: Option<String>,
    /// The error while the spool accepts no samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Arc<str>>,
    /// The contents by encoding.
    encodings: Vec<SpooledEncoding>,
    /// All batches with smaller numbers are delivered, dropped or unsupported.
    low: u64,
    /// The number of the next batch.
    next: u64,
    /// Samples that the spool contained when it was opened.
    recovered_samples: u64,
    stored_samples: u64,
    /// Samples dropped at the limits or manually.
    dropped_samples: u64,
    /// Corrupt or missing samples.
    lost_samples: u64,
    sync_failures: u64,
    dead_letter: DeadLetter,
}

/// Permanently rejected batches.
#[derive(Serialize)]
struct DeadLetter {
    batches: u64,
    bytes: u64,
    lost_batches: u64,
}

impl From<SpoolStatus> for SpoolView {
    fn from(status: SpoolStatus) -> Self {
        Self {
            mode: match status.mode {
                SpoolMode::Overflow => "overflow",
                SpoolMode::Always => "always",
            },
            samples: status.samples,
            batches: status.batches,
            bytes: status.bytes,
            limit_bytes: status.max_bytes,
            oldest: status
                .oldest_time
                .map(|time| Timestamp::from_millis(time).to_string()),
            error: status.failing,
            encodings: status.contents.into_iter().map(SpooledEncoding::from).collect(),
            low: status.low,
            next: status.next,
            recovered_samples: status.recovered_samples,
            stored_samples: status.stored_samples,
            dropped_samples: status.counts.dropped_samples,
            lost_samples: status.counts.lost_samples,
            sync_failures: status.sync_failures,
            dead_letter: DeadLetter {
                batches: status.dead_letter.batches,
                bytes: status.dead_letter.bytes,
                lost_batches: status.dead_letter.lost,
            },
        }
    }
}

#[derive(Serialize)]
struct Tally {
    submitted: u64,
    delivered: u64,
    dropped: u64,
    rejected: u64,
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
                oldest_seconds: status.oldest_age.map(|oldest| oldest.as_secs_f64()),
            },
            spool: status.spool.map(SpoolView::from),
            samples: Tally {
                submitted: status.counts.submitted_samples,
                delivered: status.counts.delivered_samples,
                dropped: status.counts.dropped_samples,
                rejected: status.counts.rejected_samples,
            },
            batches: Tally {
                submitted: status.counts.submitted_batches,
                delivered: status.counts.delivered_batches,
                dropped: status.counts.dropped_batches,
                rejected: status.counts.rejected_batches,
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

/// `/api/v1/spool/drain`
#[derive(Serialize)]
pub(crate) struct Drains {
    publishers: Vec<Drain>,
}

#[derive(Serialize)]
struct Drain {
    name: Arc<str>,
    samples: u64,
    /// The drain is complete, except for unsupported encodings, when `low` of the spool has reached this number.
    until: u64,
}

/// Starts to drain spools. Returns `None` if no such spool exists.
pub(crate) fn drain(state: &AdminState, publisher: Option<&str>) -> Option<Drains> {
    let spools = spools(state, publisher)?;
    let drains = spools.into_iter().map(|(name, spool)| {
        let SpoolStatus { samples, next, .. } = spool.status();
        // A publisher that a reload has removed meanwhile is draining anyway.
        let _ = state.notifier().deliver_backlog(&name);
        let until = next;
        Drain { name, samples, until }
    });
    Some(Drains {
        publishers: drains.collect(),
    })
}

/// `/api/v1/spool/drop`
#[derive(Serialize)]
pub(crate) struct Drops {
    publishers: Vec<Drop>,
}

#[derive(Serialize)]
struct Drop {
    name: Arc<str>,
    dropped_samples: u64,
    dropped_batches: u64,
}

/// Drops old samples. Returns `None` if no such spool exists.
pub(crate) async fn drop_old(
    state: &AdminState,
    older_than: Duration,
    publisher: Option<&str>,
) -> Option<Drops> {
    let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
    let time = state.engine().scheduler().now.as_millis().saturating_sub(age);
    let mut publishers = Vec::new();
    for (name, spool) in spools(state, publisher)? {
        let dropped = spool.drop_older_than(time).await.unwrap_or_default();
        publishers.push(Drop {
            name,
            dropped_samples: dropped.samples,
            dropped_batches: dropped.batches,
        });
    }
    Some(Drops { publishers })
}

/// Returns the spools of all publishers, or the spool of one. Returns `None` if that publisher has no spool.
fn spools(state: &AdminState, publisher: Option<&str>) -> Option<Vec<(Arc<str>, Spool)>> {
    let notifier = state.notifier();
    let names = notifier.status().into_iter().map(|status| status.name);
    let mut spools: Vec<_> = names
        .filter(|name| publisher.is_none_or(|publisher| **name == *publisher))
        .filter_map(|name| notifier.spool(&name).map(|spool| (name, spool)))
        .collect();
    // A publisher that a reload replaces appears twice while its old queue is drained.
    spools.dedup_by(|(one, _), (other, _)| one == other);
    (publisher.is_none() || !spools.is_empty()).then_some(spools)
}
