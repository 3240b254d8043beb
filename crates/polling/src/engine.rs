//! The engine: tasks, their cycles, and reloads.

mod assigned;
mod inner;

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{InProgress, Registration};
use nephoscope_model::CycleId;
use nephoscope_notifier::Notifier;
use nephoscope_plugin::BlockingPool;
use nephoscope_sources::{Schedule, Source};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::assigned::accept_work;
use self::inner::Inner;
use crate::classes::SourceClasses;
use crate::clock::Clock;
use crate::context::{CycleFrame, CycleStart, EngineContext};
use crate::cycle::{Planned, RunStates, run_cycle};
use crate::events;
use crate::limits::Limits;
use crate::margin::margin;
pub use crate::options::{EngineOptions, EngineParts};
use crate::plugins::Plugins;
use crate::progress::Progress;
use crate::record::CycleRecord;
use crate::scheduler::{Entry, Prepare, Scheduler, Start};
use crate::slot::Slot;
pub use crate::slot::run_status;
use crate::stats::{BackedOffStatus, SchedulerStatus, TaskStatus, Totals, seconds};
use crate::task::TaskDef;
use crate::ticker::Ticker;

/// The capacity of the channel to watchers; a slower watcher misses the oldest records.
const WATCHED: usize = 64;

/// How long aborted polls may take to end after the time for a graceful stop.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// A running engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// The result of a change of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// New schedules.
    pub added: usize,
    /// Removed schedules.
    pub removed: usize,
    /// Unchanged schedules.
    pub unchanged: usize,
}

impl Engine {
    /// Starts the engine without sources: see [`Engine::apply`].
    pub fn start(options: EngineOptions, parts: EngineParts, ticker: impl Ticker) -> Self {
        let stopping = CancellationToken::new();
        let scheduler = Scheduler::start(parts.clock.clone(), ticker, stopping.clone(), &parts.runtime);
        let progress = Progress::load(options.state_dir.as_deref());
        let (watchers, _) = broadcast::channel(WATCHED);
        let plugins = Arc::new(Plugins::default());
        let blocking = BlockingPool::default();
        let writer = progress.clone().write_changes(blocking.clone());
        let until = stopping.clone();
        parts.runtime.spawn(async move {
            let _ = until.run_until_cancelled(writer).await;
        });
        let context = EngineContext::new(&options, &parts, stopping, CancellationToken::new());
        let inner = Arc::new(Inner {
            limits: Arc::new(Limits::new(options.limits)),
            work_limits: Arc::new(Limits::new(options.limits)),
            options,
            parts,
            context,
            scheduler,
            slots: Mutex::default(),
            plugins: Mutex::new(plugins),
            blocking,
            progress,
            totals: Totals::default(),
            records: Mutex::default(),
            watchers,
            cycles: TaskTracker::new(),
            changing: tokio::sync::Mutex::default(),
        });
        let work = accept_work(Arc::downgrade(&inner));
        let until = inner.context.stopping.clone();
        inner.parts.runtime.spawn(async move {
            let _ = until.run_until_cancelled(work).await;
        });
        Self(inner)
    }

    /// Polls these sources with these plugins from now on, for the notifier's current publishers. A schedule that stays neither
    /// misses nor repeats a cycle, and running polls continue. Shared work changes with the first plan that lists this agent's
    /// new units.
    pub async fn apply(&self, sources: &[Source], plugins: Arc<Plugins>) -> Applied {
        let inner = &self.0;
        let _changing = inner.changing.lock().await;
        let tasks = TaskDef::plan(sources, &plugins, &source_classes(&inner.parts.notifier));
        let registration = Registration {
            units: tasks
                .iter()
                .flat_map(|task| task.shared_units().cloned())
                .collect(),
            meters: TaskDef::shared_meters(&tasks),
            in_progress: tasks
                .iter()
                .filter(|task| task.shared_units().next().is_some())
                .filter_map(|task| in_progress(&task.schedule, &*inner.parts.clock))
                .collect(),
        };
        inner.parts.coordinator.register(registration).await;
        let mut applied = Applied::default();
        let entries: Vec<_> = {
            *inner.plugins.lock() = plugins;
            let mut slots = inner.slots.lock();
            let first = slots.is_empty();
            let mut old = std::mem::take(&mut *slots);
            for task in tasks {
                let id = task.schedule.id().clone();
                let slot = match old.remove(&id) {
                    Some(slot) => {
                        if slot.is_retired() {
                            applied.added += 1;
                        } else {
                            applied.unchanged += 1;
                        }
                        slot.change(task);
                        slot
                    }
                    None => {
                        applied.added += 1;
                        Arc::new(Slot::new(task))
                    }
                };
                slots.insert(id, slot);
            }
            for (id, slot) in old {
                let is_new = !slot.is_retired();
                applied.removed += usize::from(is_new);
                if slot.is_shared() {
                    // Other agents rely on it until a plan no longer lists it.
                    if is_new {
                        slot.change(Arc::new(TaskDef::empty(slot.schedule.clone())));
                    }
                    slots.insert(id, slot);
                }
            }
            slots.values().map(|slot| self.entry(slot, first)).collect()
        };
        inner.scheduler.set(entries).await;
        applied
    }

    fn entry(&self, slot: &Arc<Slot>, first: bool) -> Entry {
        let inner = &self.0;
        let (task, is_shared) = (slot.newest(), slot.is_shared());
        let delay = if is_shared {
            Duration::ZERO
        } else {
            inner.splay(&slot.schedule)
        };
        // After a reload new schedules wait for their edge; at the start the cycle in progress is run.
        let in_progress = first && (task.has_host_runs() || inner.options.shared_in_progress);
        let finished = slot
            .schedule
            .edge_at_or_before(inner.parts.clock.wall())
            .is_some_and(|edge| inner.progress.is_finished(slot.schedule.id(), edge));
        let prepare = is_shared.then(|| {
            let coordinator = inner.parts.coordinator.clone();
            let prepare = move |cycle: &CycleId, edge, interval| coordinator.prepare(cycle, edge, interval);
            Arc::new(prepare) as Prepare
        });
        let (weak, slot) = (Arc::downgrade(inner), slot.clone());
        Entry {
            schedule: slot.schedule.clone(),
            delay,
            run_in_progress: in_progress && !finished,
            expected: is_shared && !inner.options.shared_in_progress,
            counters: slot.counters.clone(),
            prepare,
            start: Arc::new(move |start| weak.upgrade()?.start_cycle(&slot, start)),
        }
    }

    /// Stops gracefully: no cycle starts any more, running cycles have until `deadline`, then their samples are submitted.
    pub async fn stop(&self, deadline: Instant) {
        let inner = &self.0;
        inner.context.stopping.cancel();
        inner.cycles.close();
        let stopping = timeout_at(deadline, inner.parts.coordinator.stopping());
        let (_, ended) = tokio::join!(stopping, timeout_at(deadline, inner.cycles.wait()));
        if ended.is_err() {
            inner.context.ended.cancel();
            let _ = timeout_at(Instant::now() + LAST_GRACE, inner.cycles.wait()).await;
        }
    }

    /// Waits for the receipts of all cycles, at most until `deadline`; then writes which cycles are finished, and leaves the
    /// pool. Call it after the notifier has flushed its queues.
    pub async fn settle(&self, deadline: Instant) {
        let inner = &self.0;
        if timeout_at(deadline, inner.context.settlements.wait())
            .await
            .is_err()
        {
            inner.context.settlements.cancel().await;
        }
        // A failed write was already logged.
        let _ = inner.progress.write(&inner.blocking).await;
        // Releasing the lease lets other agents take over without waiting for it to expire.
        let deadline = deadline.max(Instant::now() + LAST_GRACE);
        let _ = timeout_at(deadline, inner.parts.coordinator.leave()).await;
    }

    /// Aborts running cycles; see [`Engine::stop`].
    pub fn abort(&self) {
        self.0.context.stopping.cancel();
        self.0.context.ended.cancel();
    }

    /// Subscribes to the records of cycles as they end.
    pub fn watch(&self) -> broadcast::Receiver<Arc<CycleRecord>> {
        self.0.watchers.subscribe()
    }

    /// The last records, newest first.
    pub fn records(&self) -> Vec<Arc<CycleRecord>> {
        self.0.records.lock().iter().rev().cloned().collect()
    }

    /// The last record of each current task, regardless of its age.
    pub fn last_records(&self) -> Vec<Arc<CycleRecord>> {
        let slots = self.0.slots.lock();
        slots.values().filter_map(|slot| slot.last()).collect()
    }

    /// The error of the last write of finished cycles to the state folder, if it failed.
    pub fn state_write_error(&self) -> Option<String> {
        self.0.progress.write_error()
    }

    /// All tasks, sorted by schedule.
    pub fn tasks(&self) -> Vec<TaskStatus> {
        let slots: Vec<_> = self.0.slots.lock().values().cloned().collect();
        let mut tasks: Vec<_> = slots
            .iter()
            .filter(|slot| !slot.is_retired())
            .map(|slot| slot.status(&self.0.scheduler))
            .collect();
        tasks.sort_by(|one, other| one.schedule_id.cmp(&other.schedule_id));
        tasks
    }

    /// The backed-off resources, by schedule and pollster; entries without any are omitted.
    pub fn backed_off(&self) -> Vec<BackedOffStatus> {
        let slots: Vec<_> = self.0.slots.lock().values().cloned().collect();
        let mut list = Vec::new();
        for slot in slots {
            for (pollster, state) in slot.states.list() {
                let (hung, resources) = (state.is_hung(), state.backed_off.list());
                if hung || !resources.is_empty() {
                    list.push(BackedOffStatus {
                        schedule: slot.schedule.to_string(),
                        pollster,
                        hung,
                        resources,
                    });
                }
            }
        }
        list.sort_by(|one, other| (&one.schedule, &one.pollster).cmp(&(&other.schedule, &other.pollster)));
        list
    }

    /// Totals since the start.
    pub fn totals(&self) -> &Totals {
        &self.0.totals
    }

    /// The plugins in use.
    pub fn plugins(&self) -> Arc<Plugins> {
        self.0.plugins.lock().clone()
    }

    /// The status of the scheduler.
    pub fn scheduler(&self) -> SchedulerStatus {
        let inner = &self.0;
        let since = inner
            .parts
            .clock
            .monotonic()
            .saturating_duration_since(inner.scheduler.last_tick());
        SchedulerStatus {
            last_tick_age_seconds: seconds(since),
            clock_steps: inner.scheduler.clock_steps(),
            restarts: inner.scheduler.restarts(),
            now: inner.parts.clock.wall(),
        }
    }
}

/// Polls everything once, now, and returns the records: the implementation of `nephoscope once`. It joins no pool and writes
/// no state.
pub async fn once(
    options: &EngineOptions,
    parts: EngineParts,
    sources: &[Source],
    plugins: &Plugins,
    cancellation: &CancellationToken,
) -> Vec<Arc<CycleRecord>> {
    let tasks = TaskDef::plan(sources, plugins, &source_classes(&parts.notifier));
    let limits = Arc::new(Limits::new(options.limits));
    let shared = EngineContext::new(options, &parts, cancellation.clone(), cancellation.clone());
    let now = parts.clock.wall();
    let edge = parts.clock.monotonic();
    let cycles = tasks.iter().map(|task| {
        let interval = task
            .schedule
            .interval_from(task.schedule.edge_at_or_before(now).unwrap_or(now));
        // The start is the current time, so that the samples have other ids than those of an agent's cycle.
        let start = Start {
            cycle: task.schedule.cycle(now),
            edge,
            due: None,
            interval,
        };
        let frame = CycleFrame {
            cycle: start.cycle.clone(),
            started: CycleStart::now(parts.clock.as_ref()),
            takeover: None,
            interval,
            deadline: edge + interval - margin(interval),
        };
        let context = shared.cycle(frame, limits.clone());
        let coordinator = parts.coordinator.clone();
        async move {
            let states = RunStates::default();
            let planned = async {
                match coordinator.plan(&start.cycle).await {
                    Ok(assignment) => Planned::Assigned {
                        task: task.clone(),
                        assignment,
                        only: None,
                    },
                    Err(no_plan) => Planned::NoPlan(no_plan.reason),
                }
            };
            let end = run_cycle(
                &task.schedule,
                Some(task),
                planned,
                &states,
                context,
                &start,
                Duration::ZERO,
            )
            .await;
            events::cycle_ended(&end.record);
            end.record
        }
    });
    futures::future::join_all(cycles).await
}

/// The classes of sources that the current publishers distinguish.
fn source_classes(notifier: &Notifier) -> SourceClasses {
    SourceClasses::new(notifier.source_selections())
}

/// The cycle of a schedule that is in progress, if there is one.
fn in_progress(schedule: &Schedule, clock: &dyn Clock) -> Option<InProgress> {
    let (monotonic, wall) = (clock.monotonic(), clock.wall());
    let start = schedule.edge_at_or_before(wall)?;
    let passed = u64::try_from(wall.as_micros().checked_sub(start.as_micros())?).ok()?;
    Some(InProgress {
        cycle: schedule.cycle(start),
        edge: monotonic.checked_sub(Duration::from_micros(passed))?,
        interval: schedule.interval_from(start),
    })
}
