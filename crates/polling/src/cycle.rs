//! One cycle of a task: the plan, the listings, the runs, and the record at the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{Coordinator, Group, Plan, Unit};
use nephoscope_model::CycleId;
use nephoscope_notifier::{Notifier, Outcome, ReceiptSet};
use nephoscope_plugin::{CycleCache, FailureKind};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::events;
use crate::keyhash::KeyHasher;
use crate::limits::Limits;
use crate::listing::{Listing, ListingContext};
use crate::record::{CycleRecord, FailureCounts};
use crate::run::{InputReaders, Run, RunEnd, RunState};
use crate::scheduler::Start;
use crate::task::{Lane, RunDef, TaskDef};

/// What all parts of a cycle must know.
pub struct CycleContext {
    pub(crate) cycle: CycleId,
    pub(crate) interval: Duration,
    pub(crate) deadline: Instant,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: CycleCache,
    pub(crate) host: Arc<str>,
    pub(crate) sample_source: Arc<str>,
    pub(crate) batch_size: usize,
    pub(crate) coordinator: Arc<dyn Coordinator>,
    pub(crate) notifier: Notifier,
    pub(crate) limits: Arc<Limits>,
    pub(crate) hasher: KeyHasher,
    pub(crate) plugin_runtime: Handle,
    /// No run begins any more.
    pub(crate) stopping: CancellationToken,
    /// What runs ends now.
    pub(crate) cancellation: CancellationToken,
}

/// What stays of the pollster runs of a schedule from cycle to cycle, by pollster and wanted meters.
#[derive(Default)]
pub struct RunStates(Mutex<HashMap<RunName, Arc<RunState>>>);

/// A pollster and its wanted meters.
type RunName = (Arc<str>, Vec<Arc<str>>);

impl RunStates {
    fn of(&self, run: &RunDef) -> Arc<RunState> {
        let key = (run.pollster.name.clone(), run.meters.clone());
        self.0.lock().entry(key).or_default().clone()
    }

    /// Forgets the runs that a reload has removed.
    pub fn keep(&self, task: &TaskDef) {
        let wanted = |key: &RunName| {
            task.runs
                .iter()
                .any(|run| run.pollster.name == key.0 && run.meters == key.1)
        };
        self.0.lock().retain(|key, state| wanted(key) || state.hangs());
    }

    /// The states by pollster, for people.
    pub fn list(&self) -> Vec<(Arc<str>, Arc<RunState>)> {
        let mut list: Vec<_> = self
            .0
            .lock()
            .iter()
            .map(|((pollster, _), state)| (pollster.clone(), state.clone()))
            .collect();
        list.sort_by(|one, other| one.0.cmp(&other.0));
        list
    }
}

/// The margin that a cycle leaves before the next edge.
pub fn margin(interval: Duration) -> Duration {
    (interval / 20).min(Duration::from_secs(1))
}

/// A cycle whose polls have ended and whose samples are handed over.
pub struct CycleEnd {
    /// Its record.
    pub record: Arc<CycleRecord>,
    /// What is still to be confirmed.
    pub settlement: Settlement,
}

/// The receipts of a cycle, and which shared units they finish.
pub struct Settlement {
    cycle: CycleId,
    runs: Vec<ReceiptSet>,
    /// Shared units, and whether this agent gives its share up.
    units: Vec<(Unit, bool)>,
    coordinator: Arc<dyn Coordinator>,
}

impl Settlement {
    /// Waits for the receipts, and tells the coordinator what is finished. The outcome is the worst of all.
    pub async fn settle(self) -> Outcome {
        for (unit, gave_up) in &self.units {
            if *gave_up {
                self.coordinator.gave_up(&self.cycle, unit);
            }
        }
        let mut worst = Outcome::Delivered;
        for receipts in self.runs {
            worst = worst.max(receipts.outcome().await);
        }
        for (unit, gave_up) in &self.units {
            if !gave_up {
                self.coordinator.finished(&self.cycle, unit);
            }
        }
        worst
    }
}

/// Runs a cycle of `task`. Host groups begin `splay` after the edge; all else begins now.
pub async fn run_cycle(
    task: &TaskDef,
    states: &RunStates,
    context: Arc<CycleContext>,
    start: &Start,
    splay: Duration,
) -> CycleEnd {
    let began = Instant::now();
    let started = context.clock.wall();
    let plan = Planned::ask(task, &context).await;
    // Other cycles of this edge begin before the first of them polls.
    tokio::task::yield_now().await;
    let listings: Vec<_> = task
        .listings
        .iter()
        .enumerate()
        .map(|(index, def)| Listing::new(def.clone(), listing_context(task, index, &context)))
        .collect();

    let mut host_runs = Vec::new();
    let mut runs = JoinSet::new();
    for def in &task.runs {
        let plan = match (def.lane, &plan) {
            (Lane::Host, _) => None,
            (Lane::Shared, Planned::Agreed(plan)) => Some(plan.clone()),
            (Lane::Shared, _) => continue,
        };
        let inputs = def.inputs.iter().map(|input| InputReaders {
            listings: input
                .listings
                .iter()
                .filter_map(|index| Some(listings.get(*index)?.reader()))
                .collect(),
            fallback: input
                .fallback
                .and_then(|index| Some(listings.get(index)?.reader())),
        });
        let run = Run {
            def: def.clone(),
            state: states.of(def),
            inputs: inputs.collect(),
            context: context.clone(),
            plan,
        };
        match def.lane {
            Lane::Shared => {
                runs.spawn(run.run());
            }
            Lane::Host => host_runs.push(run),
        }
    }
    if !host_runs.is_empty() {
        // A cycle in progress at the agent's start is not spread.
        if start.due.is_some() {
            tokio::select! {
                () = sleep_until(start.edge + splay) => {}
                () = context.stopping.cancelled() => host_runs.clear(),
            }
        }
        for run in host_runs {
            runs.spawn(run.run());
        }
    }
    let mut ends = Vec::new();
    while let Some(end) = runs.join_next().await {
        match end {
            Ok(end) => ends.push(end),
            Err(error) => {
                tracing::error!(%error, cycle = %context.cycle, "a run of the engine itself failed")
            }
        }
    }
    context.cancellation.cancel();
    finish(task, &context, start, listings, ends, plan, began, started)
}

#[allow(clippy::too_many_arguments, reason = "the parts of one record")]
fn finish(
    task: &TaskDef,
    context: &CycleContext,
    start: &Start,
    listings: Vec<Arc<Listing>>,
    ends: Vec<RunEnd>,
    plan: Planned,
    began: Instant,
    started: nephoscope_model::Timestamp,
) -> CycleEnd {
    let no_plan = match plan {
        Planned::None(reason) => Some(reason),
        Planned::Agreed(_) | Planned::NotNeeded => None,
    };
    let listing_records: Vec<_> = listings.iter().filter_map(|listing| listing.record()).collect();
    let mut failures = FailureCounts::default();
    for record in &listing_records {
        if let Some(note) = &record.failure {
            failures.add(
                FailureKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str() == note.kind)
                    .unwrap_or(FailureKind::Transient),
            );
        }
    }
    let given_up: HashSet<usize> = ends
        .iter()
        .filter(|end| end.unreachable)
        .flat_map(|end| {
            end.def
                .inputs
                .iter()
                .flat_map(|input| input.listings.iter().chain(&input.fallback))
        })
        .copied()
        .collect();
    let mut record = CycleRecord {
        schedule: task.schedule.to_string(),
        cycle: context.cycle.clone(),
        started,
        lateness: start.due.map(|due| began.saturating_duration_since(due)),
        duration: began.elapsed(),
        resources: 0,
        samples: 0,
        failures,
        listings: listing_records,
        polls: Vec::new(),
        no_plan: no_plan.clone(),
    };
    let mut receipts = Vec::new();
    for end in ends {
        record.resources += end.record.resources;
        record.samples += end.record.samples;
        record.failures.add_all(&end.record.failures);
        record.polls.push(end.record);
        receipts.push(end.receipts);
    }
    record
        .polls
        .sort_by(|one, other| one.pollster.cmp(&other.pollster));
    let units = match no_plan {
        Some(_) => Vec::new(),
        None => listings
            .iter()
            .enumerate()
            .filter(|(_, listing)| listing.unit().group == Group::Shared)
            .map(|(index, listing)| (listing.unit().clone(), given_up.contains(&index)))
            .collect(),
    };
    let settlement = Settlement {
        cycle: context.cycle.clone(),
        runs: receipts,
        units,
        coordinator: context.coordinator.clone(),
    };
    CycleEnd {
        record: Arc::new(record),
        settlement,
    }
}

fn listing_context(task: &TaskDef, index: usize, context: &CycleContext) -> ListingContext {
    // A listing that several sources use is as patient as the most patient of them.
    let timeout = task
        .runs
        .iter()
        .map(|run| run.timeout)
        .reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)))
        .flatten();
    ListingContext {
        cycle: context.cycle.clone(),
        // A listing that is cut off ends before the polls that read it: these end as they should.
        deadline: context.deadline - margin(context.interval) / 2,
        timeout,
        limit: context.limits.options().listing,
        cache: context.cache.clone(),
        wanted: task.wanted_of(index),
        cancellation: context.cancellation.clone(),
        runtime: context.plugin_runtime.clone(),
    }
}

/// The division of the shared units of a cycle.
enum Planned {
    /// The task has none.
    NotNeeded,
    /// Everybody knows who does what.
    Agreed(Arc<dyn Plan>),
    /// Nothing shared is polled, and why.
    None(String),
}

impl Planned {
    async fn ask(task: &TaskDef, context: &CycleContext) -> Self {
        if !task.has_shared_runs() {
            return Self::NotNeeded;
        }
        match context.coordinator.plan(&context.cycle).await {
            Ok(plan) => Self::Agreed(plan),
            Err(no_plan) => {
                events::no_plan(&task.schedule.to_string(), &no_plan.reason);
                Self::None(no_plan.reason)
            }
        }
    }
}
