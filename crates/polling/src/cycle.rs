//! One cycle of a task, or a takeover of its work: the discovery runs, the pollster runs, and the record at the end.

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use nephoscope_coordination::{Assignment, Unit, WorkId};
use nephoscope_model::Scope;
use nephoscope_notifier::{Outcome, ReceiptSet};
use nephoscope_plugin::{FailureKind, PartitionMode};
use nephoscope_sources::Schedule;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::context::{CycleContext, CycleStart};
use crate::events;
use crate::fence::Fence;
use crate::ledger::Ledger;
use crate::listing::{Listing, ListingContext, ListingDef, Part, Reader};
use crate::margin::margin;
use crate::pages::InputReaders;
use crate::record::{CycleRecord, FailureCounts};
use crate::run::{Run, RunEnd, RunState};
use crate::scheduler::Start;
use crate::task::{Input, RunDef, TaskDef};

/// The states of the pollster runs of a schedule that persist from cycle to cycle, by pollster and collected meters.
#[derive(Default)]
pub struct RunStates(Mutex<HashMap<RunName, Arc<RunState>>>);

/// A pollster and its collected meters.
type RunName = (Arc<str>, Vec<Arc<str>>);

impl RunStates {
    fn of(&self, run: &RunDef) -> Arc<RunState> {
        let key = (run.pollster.name.clone(), run.meters.clone());
        self.0.lock().entry(key).or_default().clone()
    }

    /// Drops the states of runs that are in none of these tasks.
    pub fn keep<'a>(&self, tasks: impl Iterator<Item = &'a Arc<TaskDef>> + Clone) {
        let wanted = |key: &RunName| {
            tasks
                .clone()
                .flat_map(|task| &task.runs)
                .any(|run| run.pollster.name == key.0 && run.meters == key.1)
        };
        self.0.lock().retain(|key, state| wanted(key) || state.is_hung());
    }

    /// The states, sorted by pollster, for display.
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

/// Which shared units this cycle polls.
pub enum Planned {
    /// The task has no shared units.
    NotNeeded,
    /// The agents have agreed on a plan.
    Assigned {
        /// The task whose shared runs are polled.
        task: Arc<TaskDef>,
        /// The division of the work.
        assignment: Assignment,
        /// The units of a takeover; `None`: all.
        only: Option<Vec<Unit>>,
    },
    /// No shared units are polled, with the reason.
    NoPlan(String),
}

/// A cycle whose polls have ended and whose samples are submitted.
pub struct CycleEnd {
    /// Its record.
    pub record: Arc<CycleRecord>,
    receipts: Vec<Arc<ReceiptSet>>,
}

impl CycleEnd {
    /// Resolves with the outcome when the receipts of its samples are complete.
    pub fn settlement(&self) -> impl Future<Output = Outcome> + Send + use<> {
        let receipts = self.receipts.clone();
        async move {
            let mut worst = Outcome::Delivered;
            for receipts in receipts {
                worst = worst.max(receipts.outcome().await);
            }
            worst
        }
    }
}

/// Runs a cycle: the host's own runs of `host`, `splay` after the edge, and the shared runs of `planned` as soon as it
/// resolves.
pub async fn run_cycle(
    schedule: &Schedule,
    host: Option<&TaskDef>,
    planned: impl Future<Output = Planned>,
    states: &RunStates,
    context: Arc<CycleContext>,
    start: &Start,
    splay: Duration,
) -> CycleEnd {
    let mut planned = pin!(planned);
    let early = futures::poll!(planned.as_mut());
    // Other cycles of this edge start before the first of them polls.
    tokio::task::yield_now().await;
    let mut cycle = Cycle::new(states, context);
    // Readers that hold the first pages for shared runs of the same discoveries.
    let mut ahead = Vec::new();
    if let Some(task) = host {
        // A cycle in progress at the start of the agent has no splay.
        let at = start.due.map(|_| start.edge + splay);
        ahead = cycle.start_own(task, at);
    }
    let planned = match early {
        Poll::Ready(planned) => planned,
        Poll::Pending => planned.await,
    };
    let mut no_plan = None;
    let cancelled = match planned {
        Planned::NotNeeded => CancellationToken::new(),
        Planned::NoPlan(reason) => {
            no_plan = Some(reason);
            CancellationToken::new()
        }
        Planned::Assigned {
            task,
            assignment,
            only,
        } => {
            cycle.start_shared(&task, &assignment, only.as_deref());
            assignment.cancelled
        }
    };
    drop(ahead);
    let ends = cycle.join_runs(&cancelled).await;
    cycle.finish(schedule.to_string(), start, ends, no_plan)
}

/// A running cycle.
struct Cycle<'a> {
    states: &'a RunStates,
    context: Arc<CycleContext>,
    listings: Vec<Arc<Listing>>,
    runs: JoinSet<Option<RunEnd>>,
    ledger: Ledger,
    work: Arc<WorkId>,
    /// Cancelled when the shared part ends: with the cycle, or when other agents take it over.
    shared: CancellationToken,
}

impl<'a> Cycle<'a> {
    fn new(states: &'a RunStates, context: Arc<CycleContext>) -> Self {
        let work = Arc::new(WorkId {
            cycle: context.frame.cycle.clone(),
            takeover: context.frame.takeover,
        });
        Self {
            states,
            listings: Vec::new(),
            runs: JoinSet::new(),
            ledger: Ledger::new(
                work.clone(),
                context.engine.coordinator.clone(),
                context.engine.settlements.clone(),
            ),
            work,
            shared: context.cancellation.child_token(),
            context,
        }
    }

    /// Starts the runs on the host's own resources at `at`. Returns readers of the listings that shared runs also read.
    fn start_own(&mut self, task: &TaskDef, at: Option<Instant>) -> Vec<Reader> {
        let own = |_: &ListingDef| Part::whole();
        let is_own = |index: &usize| {
            task.listings
                .get(*index)
                .is_some_and(|listing| listing.unit.scope == Scope::Host)
        };
        let shared_runs = task.runs.iter().filter(|run| run.scope == Scope::Shared);
        let read_by_both: Vec<_> = shared_runs
            .flat_map(|run| run.listings())
            .filter(is_own)
            .collect();
        let ahead = read_by_both
            .into_iter()
            .filter_map(|index| Some(self.listing(task, index, own)?.reader()))
            .collect();
        // All runs get their readers before the first of them reads: a page is dropped when all existing readers have taken it.
        let mut runs = Vec::new();
        for def in task.runs.iter().filter(|run| run.scope == Scope::Host) {
            let inputs = def
                .inputs
                .iter()
                .map(|input| self.readers(task, input, own))
                .collect();
            runs.push(Run {
                def: def.clone(),
                state: self.states.of(def),
                inputs,
                context: self.context.clone(),
                cancellation: self.context.cancellation.clone(),
                fence: None,
                members: NonZeroUsize::MIN,
            });
        }
        for run in runs {
            let stopping = self.context.engine.stopping.clone();
            self.runs.spawn(async move {
                if let Some(at) = at {
                    tokio::select! {
                        biased;
                        () = stopping.cancelled() => return None,
                        () = sleep_until(at) => {}
                    }
                }
                Some(run.run().await)
            });
        }
        ahead
    }

    /// Starts the runs on shared resources.
    fn start_shared(&mut self, task: &TaskDef, assignment: &Assignment, only: Option<&[Unit]>) {
        let part = |def: &ListingDef| {
            let unit = &def.unit;
            let is_selected = only.is_none_or(|only| only.contains(unit));
            match unit.scope {
                _ if !is_selected => Part::empty(),
                Scope::Host => Part::whole(),
                Scope::Shared => Part {
                    share: assignment.plan.share(unit),
                    members: match unit.mode {
                        PartitionMode::Resource => assignment.plan.members(unit),
                        PartitionMode::Listing => NonZeroUsize::MIN,
                    },
                },
            }
        };
        // All runs get their readers first, as above.
        let mut runs = Vec::new();
        for def in task.runs.iter().filter(|run| run.scope == Scope::Shared) {
            let mut listings: Vec<_> = def
                .listings()
                .filter_map(|index| self.listing(task, index, part))
                .filter(|listing| listing.unit().scope == Scope::Shared && !listing.part().share.is_empty())
                .collect();
            listings.sort_by(|one, other| one.unit().cmp(other.unit()));
            listings.dedup_by(|one, other| one.unit() == other.unit());
            if listings.is_empty() && only.is_some() {
                continue;
            }
            let members = listings.iter().map(|listing| listing.part().members).max();
            let fence = Fence {
                coordinator: self.context.engine.coordinator.clone(),
                clock: self.context.engine.clock.clone(),
                work: self.work.clone(),
                units: listings.iter().map(|listing| listing.unit().clone()).collect(),
            };
            let inputs = def
                .inputs
                .iter()
                .map(|input| self.readers(task, input, part))
                .collect();
            runs.push(Run {
                def: def.clone(),
                state: self.states.of(def),
                inputs,
                context: self.context.clone(),
                cancellation: self.shared.clone(),
                fence: Some(fence),
                members: members.unwrap_or(NonZeroUsize::MIN),
            });
            listings
                .iter()
                .for_each(|listing| self.ledger.run_started(listing));
        }
        for run in runs {
            self.runs.spawn(async move { Some(run.run().await) });
        }
        for unit in only.unwrap_or_default() {
            let known = task.shared_units().any(|own| own == unit);
            self.ledger.settle_unstarted(unit, known);
        }
    }

    fn readers(&mut self, task: &TaskDef, input: &Input, part: impl Fn(&ListingDef) -> Part) -> InputReaders {
        let fallback = input
            .fallback
            .and_then(|index| self.listing(task, index, &part))
            .filter(|listing| !listing.part().share.is_empty());
        let listings: Vec<_> = input
            .listings
            .iter()
            .filter_map(|index| self.listing(task, *index, &part))
            .filter(|listing| fallback.is_some() || !listing.part().share.is_empty())
            .collect();
        InputReaders {
            listings: listings.iter().map(|listing| listing.reader()).collect(),
            fallback: fallback.map(|listing| listing.reader()),
            classes: input.classes.clone(),
        }
    }

    /// Returns the cycle's listing with this index in `task`; the first caller creates it.
    fn listing(
        &mut self,
        task: &TaskDef,
        index: usize,
        part: impl Fn(&ListingDef) -> Part,
    ) -> Option<Arc<Listing>> {
        let def = task.listings.get(index)?;
        if let Some(known) = self.listings.iter().find(|known| *known.unit() == def.unit) {
            return Some(known.clone());
        }
        let cancellation = match def.unit.scope {
            Scope::Host => self.context.cancellation.clone(),
            Scope::Shared => self.shared.clone(),
        };
        let context = listing_context(task, index, &self.context, cancellation);
        let listing = Listing::new(def.clone(), part(def), context);
        self.listings.push(listing.clone());
        Some(listing)
    }

    /// Waits for all runs and returns their results.
    async fn join_runs(&mut self, cancelled: &CancellationToken) -> Vec<RunEnd> {
        let mut ends = Vec::new();
        loop {
            let end = tokio::select! {
                biased;
                () = cancelled.cancelled(), if !self.shared.is_cancelled() => {
                    self.shared.cancel();
                    if !self.ledger.is_settled() {
                        events::work_lost(&self.work);
                    }
                    continue;
                }
                end = self.runs.join_next() => end,
            };
            match end {
                Some(Ok(Some(end))) => {
                    self.ledger.run_ended(&end.units, &end.receipts, end.undone);
                    ends.push(end);
                }
                // The run had not started when the agent began to stop.
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    tracing::error!(%error, cycle = %self.context.frame.cycle, "a run failed inside the engine");
                }
                None => break,
            }
        }
        self.context.cancellation.cancel();
        ends
    }

    fn finish(self, schedule: String, start: &Start, ends: Vec<RunEnd>, no_plan: Option<String>) -> CycleEnd {
        let CycleStart {
            at: started_at,
            wall: started,
        } = self.context.frame.started;
        let discovery_runs: Vec<_> = self
            .listings
            .iter()
            .filter_map(|listing| listing.record())
            .collect();
        let mut failures = FailureCounts::default();
        for note in discovery_runs.iter().filter_map(|run| run.failure.as_ref()) {
            failures.add(
                FailureKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str() == note.kind)
                    .unwrap_or(FailureKind::Transient),
            );
        }
        let mut record = CycleRecord {
            schedule,
            cycle: self.context.frame.cycle.clone(),
            started,
            lateness: start.due.map(|due| started_at.saturating_duration_since(due)),
            duration: started_at.elapsed(),
            resources: 0,
            samples: 0,
            failures,
            discovery_runs,
            polls: Vec::new(),
            takeover: self.context.frame.takeover,
            no_plan,
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
        CycleEnd {
            record: Arc::new(record),
            receipts,
        }
    }
}

fn listing_context(
    task: &TaskDef,
    index: usize,
    context: &CycleContext,
    cancellation: CancellationToken,
) -> ListingContext {
    // The timeout of a listing that several sources use is the longest of theirs.
    let timeout = task
        .runs
        .iter()
        .map(|run| run.timeout)
        .reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)))
        .flatten();
    ListingContext {
        cycle: context.frame.cycle.clone(),
        // The listing ends before the polls that read it, so that these can end regularly.
        deadline: context.frame.deadline - margin(context.frame.interval) / 2,
        timeout,
        limit: context.limits.options().max_resources_per_discovery,
        cache: context.cache.clone(),
        wanted: task.wanted_of(index),
        cancellation,
        runtime: context.engine.plugin_runtime.clone(),
        hasher: context.engine.hasher.clone(),
    }
}
