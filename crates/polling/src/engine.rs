//! The engine: tasks, their cycles, and changes to them while it runs.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nephoscope_coordination::Coordinator;
use nephoscope_model::{CycleId, ScheduleId};
use nephoscope_notifier::Notifier;
use nephoscope_plugin::{BlockingPool, CycleCache};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::cycle::{CycleContext, RunStates, margin, run_cycle};
use crate::events;
use crate::keyhash::KeyHasher;
use crate::limits::{LimitOptions, Limits};
use crate::plugins::Plugins;
use crate::progress::Progress;
use crate::record::CycleRecord;
use crate::schedule::Schedule;
use crate::scheduler::{Entry, ScheduleCounters, Scheduler, Start};
use crate::source::Source;
use crate::splay;
use crate::stats::{Histogram, RunStatus, SchedulerStatus, SetAsideStatus, TaskStatus, Totals, seconds};
use crate::task::TaskDef;
use crate::ticker::Ticker;

/// How many records of cycles are kept for the admin API.
const RECORDS: usize = 200;

/// Records that wait for one who watches; who is slower misses the oldest.
const WATCHED: usize = 64;

/// After the time for a graceful stop, how long polls that were told to end may take.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// How an engine works, apart from what it polls.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// `agent.id`.
    pub agent_id: Arc<str>,
    /// `agent.host`.
    pub host: Arc<str>,
    /// `agent.sample_source`.
    pub sample_source: Arc<str>,
    /// `notifier.batch_size`.
    pub batch_size: usize,
    /// `notifier.batch_age`.
    pub batch_age: Duration,
    /// `agent.limits`.
    pub limits: LimitOptions,
    /// `agent.splay`.
    pub splay: bool,
    /// Whether units that agents share are polled at once at the start, too (the `local` backend).
    pub shared_in_progress: bool,
    /// Where finished cycles are remembered.
    pub state_dir: Option<PathBuf>,
}

/// What an engine works with.
pub struct EngineParts {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Who divides shared work.
    pub coordinator: Arc<dyn Coordinator>,
    /// Where samples go.
    pub notifier: Notifier,
    /// Where the engine itself runs.
    pub runtime: Handle,
    /// Where plugins run: one that blocks its thread must not block the engine.
    pub plugin_runtime: Handle,
}

/// A running engine; cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    options: EngineOptions,
    parts: EngineParts,
    limits: Arc<Limits>,
    hasher: KeyHasher,
    scheduler: Scheduler,
    slots: Mutex<HashMap<ScheduleId, Arc<Slot>>>,
    plugins: Mutex<Arc<Plugins>>,
    /// Threads for the engine's own writes.
    blocking: BlockingPool,
    progress: Arc<Progress>,
    totals: Totals,
    records: Mutex<VecDeque<Arc<CycleRecord>>>,
    watchers: broadcast::Sender<Arc<CycleRecord>>,
    /// Cycles that run.
    cycles: TaskTracker,
    /// Receipts that are waited for.
    settlements: TaskTracker,
    /// No cycle starts any more.
    stopping: CancellationToken,
    /// Running cycles end now.
    ended: CancellationToken,
}

/// What stays of a schedule while its sources change.
struct Slot {
    schedule: Schedule,
    task: Mutex<Arc<TaskDef>>,
    running: AtomicBool,
    states: RunStates,
    counters: Arc<ScheduleCounters>,
    cycles: AtomicU64,
    overruns: AtomicU64,
    overrunning: AtomicBool,
    lateness: Mutex<Histogram>,
    last_duration: Mutex<Option<Duration>>,
}

/// What a change of the sources did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Schedules that are new.
    pub added: usize,
    /// Schedules that are gone.
    pub removed: usize,
    /// Schedules that stay.
    pub kept: usize,
}

impl Engine {
    /// Starts the engine with nothing to poll: see [`Engine::apply`].
    pub fn start(options: EngineOptions, parts: EngineParts, ticker: impl Ticker) -> Self {
        let stopping = CancellationToken::new();
        let scheduler = Scheduler::start(parts.clock.clone(), ticker, stopping.clone(), &parts.runtime);
        let progress = Progress::load(options.state_dir.as_deref());
        let (watchers, _) = broadcast::channel(WATCHED);
        let plugins = Arc::new(Plugins::default());
        let blocking = BlockingPool::default();
        let writer = progress.clone().keep_written(blocking.clone());
        let until = stopping.clone();
        parts.runtime.spawn(async move {
            let _ = until.run_until_cancelled(writer).await;
        });
        Self(Arc::new(Inner {
            limits: Arc::new(Limits::new(options.limits)),
            options,
            parts,
            hasher: KeyHasher::default(),
            scheduler,
            slots: Mutex::default(),
            plugins: Mutex::new(plugins),
            blocking,
            progress,
            totals: Totals::default(),
            records: Mutex::default(),
            watchers,
            cycles: TaskTracker::new(),
            settlements: TaskTracker::new(),
            stopping,
            ended: CancellationToken::new(),
        }))
    }

    /// Polls these sources with these plugins from now on. Schedules that stay neither miss nor repeat a
    /// cycle, and running polls are not cut off.
    pub async fn apply(&self, sources: &[Source], plugins: Arc<Plugins>) -> Applied {
        let inner = &self.0;
        let tasks = TaskDef::plan(sources, &plugins);
        inner
            .parts
            .coordinator
            .carry(
                tasks
                    .iter()
                    .flat_map(|task| task.shared_units().cloned())
                    .collect(),
            )
            .await;
        let first = inner.slots.lock().is_empty();
        let mut applied = Applied::default();
        let entries = {
            *inner.plugins.lock() = plugins;
            let mut slots = inner.slots.lock();
            let mut old = std::mem::take(&mut *slots);
            let mut entries = Vec::with_capacity(tasks.len());
            for task in tasks {
                let id = task.schedule.id().clone();
                let slot = match old.remove(&id) {
                    Some(slot) => {
                        applied.kept += 1;
                        slot.states.keep(&task);
                        *slot.task.lock() = task.clone();
                        slot
                    }
                    None => {
                        applied.added += 1;
                        Arc::new(Slot::new(task.clone()))
                    }
                };
                slots.insert(id, slot.clone());
                entries.push(self.entry(&task, slot, first));
            }
            applied.removed = old.len();
            entries
        };
        inner.scheduler.set(entries).await;
        applied
    }

    fn entry(&self, task: &TaskDef, slot: Arc<Slot>, first: bool) -> Entry {
        let inner = &self.0;
        let delay = if task.has_shared_runs() {
            Duration::ZERO
        } else {
            inner.splay(&task.schedule)
        };
        // After a reload new schedules wait for their edge; at the start the cycle in progress is run.
        let in_progress = first && (!task.has_shared_runs() || inner.options.shared_in_progress);
        let finished = inner.parts.clock.wall();
        let finished = task
            .schedule
            .edge_at_or_before(finished)
            .is_some_and(|edge| inner.progress.is_finished(task.schedule.id(), edge));
        let weak = Arc::downgrade(&self.0);
        let counters = slot.counters.clone();
        Entry {
            schedule: task.schedule.clone(),
            delay,
            begin_in_progress: in_progress && !finished,
            counters,
            start: Arc::new(move |start| {
                if let Some(inner) = weak.upgrade() {
                    inner.start_cycle(&slot, start);
                }
            }),
        }
    }

    /// Ends gracefully: no cycle starts any more, those that run have until `deadline`, then what they have is
    /// handed over. Waits for receipts as long as there is time.
    pub async fn stop(&self, deadline: Instant) {
        let inner = &self.0;
        inner.stopping.cancel();
        inner.cycles.close();
        if timeout_at(deadline, inner.cycles.wait()).await.is_err() {
            inner.ended.cancel();
            let _ = timeout_at(Instant::now() + LAST_GRACE, inner.cycles.wait()).await;
        }
        inner.settlements.close();
    }

    /// Waits for the receipts of all cycles, at most until `deadline`; then writes what is finished. Called
    /// after the notifier has flushed its queues.
    pub async fn settle(&self, deadline: Instant) {
        let inner = &self.0;
        let _ = timeout_at(deadline, inner.settlements.wait()).await;
        // Said already when the file could not be written before.
        let _ = inner.progress.write(&inner.blocking).await;
        inner.parts.coordinator.leave().await;
    }

    /// Ends running cycles now; see [`Engine::stop`].
    pub fn abort(&self) {
        self.0.stopping.cancel();
        self.0.ended.cancel();
    }

    /// Each record of a cycle as it ends.
    pub fn watch(&self) -> broadcast::Receiver<Arc<CycleRecord>> {
        self.0.watchers.subscribe()
    }

    /// The last records, newest first.
    pub fn records(&self) -> Vec<Arc<CycleRecord>> {
        self.0.records.lock().iter().rev().cloned().collect()
    }

    /// All tasks, by schedule.
    pub fn tasks(&self) -> Vec<TaskStatus> {
        let slots: Vec<_> = self.0.slots.lock().values().cloned().collect();
        let mut tasks: Vec<_> = slots.iter().map(|slot| slot.status(&self.0.scheduler)).collect();
        tasks.sort_by(|one, other| one.schedule_id.cmp(&other.schedule_id));
        tasks
    }

    /// What is set aside, by schedule and pollster; those without anything are left out.
    pub fn set_aside(&self) -> Vec<SetAsideStatus> {
        let slots: Vec<_> = self.0.slots.lock().values().cloned().collect();
        let mut list = Vec::new();
        for slot in slots {
            for (pollster, state) in slot.states.list() {
                let (hangs, resources) = (state.hangs(), state.set_aside.list());
                if hangs || !resources.is_empty() {
                    list.push(SetAsideStatus {
                        schedule: slot.schedule.to_string(),
                        pollster,
                        hangs,
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

    /// How the scheduler is.
    pub fn scheduler(&self) -> SchedulerStatus {
        let inner = &self.0;
        let since = inner
            .parts
            .clock
            .monotonic()
            .saturating_duration_since(inner.scheduler.last_tick());
        SchedulerStatus {
            since_tick: seconds(since),
            clock_steps: inner.scheduler.clock_steps(),
            restarts: inner.scheduler.restarts(),
            now: inner.parts.clock.wall(),
        }
    }
}

impl Inner {
    fn splay(&self, schedule: &Schedule) -> Duration {
        if !self.options.splay {
            return Duration::ZERO;
        }
        let interval = schedule.interval_from(self.parts.clock.wall());
        splay::of(&self.options.agent_id, interval)
    }

    /// Called by the scheduler on the edge: must not wait.
    fn start_cycle(self: Arc<Self>, slot: &Arc<Slot>, start: Start) {
        if self.stopping.is_cancelled() {
            return;
        }
        if slot.running.swap(true, Ordering::AcqRel) {
            slot.overruns.fetch_add(1, Ordering::Relaxed);
            if !slot.overrunning.swap(true, Ordering::Relaxed) {
                events::cycle_overrun(&slot.schedule, &start.cycle);
            }
            return;
        }
        slot.overrunning.store(false, Ordering::Relaxed);
        let slot = slot.clone();
        let runtime = self.parts.runtime.clone();
        self.cycles.clone().spawn_on(
            async move {
                let running = Running(slot.clone());
                let record = self.cycle(&slot, start).await;
                drop(running);
                // Who reads the log, or watches, finds everything else up to date.
                events::cycle_ended(&record);
                let _ = self.watchers.send(record);
            },
            &runtime,
        );
    }

    async fn cycle(self: &Arc<Self>, slot: &Arc<Slot>, start: Start) -> Arc<CycleRecord> {
        let task = slot.task.lock().clone();
        let splay = self.splay(&task.schedule);
        let delay = if task.has_shared_runs() {
            Duration::ZERO
        } else {
            splay
        };
        let deadline = start.edge + delay + start.interval - margin(start.interval);
        let context = self.context(start.cycle.clone(), start.interval, deadline);
        let end = run_cycle(&task, &slot.states, context, &start, splay).await;
        self.remember(slot, &end.record);
        let (inner, settlement) = (self.clone(), end.settlement);
        self.settlements.spawn_on(
            async move {
                // What a bound has dropped is gone: polling the cycle again would not be at least once, but twice.
                let outcome = settlement.settle().await;
                events::cycle_settled(&start.cycle, outcome);
                inner.progress.finished(&start.cycle);
            },
            &self.parts.runtime,
        );
        end.record
    }

    fn context(&self, cycle: CycleId, interval: Duration, deadline: Instant) -> Arc<CycleContext> {
        Arc::new(CycleContext {
            cycle,
            interval,
            deadline,
            clock: self.parts.clock.clone(),
            cache: CycleCache::default(),
            host: self.options.host.clone(),
            sample_source: self.options.sample_source.clone(),
            batch_size: self.options.batch_size,
            batch_age: self.options.batch_age,
            coordinator: self.parts.coordinator.clone(),
            notifier: self.parts.notifier.clone(),
            limits: self.limits.clone(),
            hasher: self.hasher.clone(),
            plugin_runtime: self.parts.plugin_runtime.clone(),
            stopping: self.stopping.clone(),
            cancellation: self.ended.child_token(),
        })
    }

    fn remember(&self, slot: &Slot, record: &Arc<CycleRecord>) {
        slot.cycles.fetch_add(1, Ordering::Relaxed);
        if let Some(lateness) = record.lateness {
            slot.lateness.lock().add(seconds(lateness));
        }
        *slot.last_duration.lock() = Some(record.duration);
        self.totals.add(record);
        let mut records = self.records.lock();
        if records.len() >= RECORDS {
            records.pop_front();
        }
        records.push_back(record.clone());
    }
}

/// A cycle of the slot runs, until this is dropped.
struct Running(Arc<Slot>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

impl Slot {
    fn new(task: Arc<TaskDef>) -> Self {
        Self {
            schedule: task.schedule.clone(),
            task: Mutex::new(task),
            running: AtomicBool::new(false),
            states: RunStates::default(),
            counters: Arc::default(),
            cycles: AtomicU64::new(0),
            overruns: AtomicU64::new(0),
            overrunning: AtomicBool::new(false),
            lateness: Mutex::default(),
            last_duration: Mutex::default(),
        }
    }

    fn status(&self, scheduler: &Scheduler) -> TaskStatus {
        let task = self.task.lock().clone();
        TaskStatus {
            schedule: task.schedule.to_string(),
            schedule_id: task.schedule.id().to_string(),
            sources: task.sources.clone(),
            runs: task.runs.iter().map(|run| run_status(&task, run)).collect(),
            next: scheduler.next(task.schedule.id()).map(|next| next.to_string()),
            running: self.running.load(Ordering::Relaxed),
            cycles: self.cycles.load(Ordering::Relaxed),
            overruns: self.overruns.load(Ordering::Relaxed),
            missed: self.counters.missed.load(Ordering::Relaxed),
            repeated: self.counters.repeated.load(Ordering::Relaxed),
            lateness: self.lateness.lock().clone(),
            last_duration: self.last_duration.lock().map(seconds),
        }
    }
}

/// A pollster run as people see it.
pub fn run_status(task: &TaskDef, run: &crate::task::RunDef) -> RunStatus {
    let names = |indices: &mut dyn Iterator<Item = &usize>| {
        let mut names: Vec<Arc<str>> = Vec::new();
        for listing in indices.filter_map(|index| task.listings.get(*index)) {
            if !names.contains(&listing.unit.listing) {
                names.push(listing.unit.listing.clone());
            }
        }
        names
    };
    RunStatus {
        pollster: run.pollster.name.clone(),
        meters: run.meters.clone(),
        listings: names(&mut run.inputs.iter().flat_map(|input| &input.listings)),
        fallbacks: names(&mut run.inputs.iter().flat_map(|input| &input.fallback)),
    }
}

/// Polls everything once, now, and gives the records: what `nephoscope once` does. It joins nobody, and
/// remembers nothing.
pub async fn once(
    options: &EngineOptions,
    parts: EngineParts,
    sources: &[Source],
    plugins: &Plugins,
    cancellation: &CancellationToken,
) -> Vec<Arc<CycleRecord>> {
    let tasks = TaskDef::plan(sources, plugins);
    let limits = Arc::new(Limits::new(options.limits));
    let now = parts.clock.wall();
    let edge = parts.clock.monotonic();
    let cycles = tasks.iter().map(|task| {
        let interval = task
            .schedule
            .interval_from(task.schedule.edge_at_or_before(now).unwrap_or(now));
        // Its own start, so that its samples are not taken for those of an agent's cycle.
        let start = Start {
            cycle: task.schedule.cycle(now),
            edge,
            due: None,
            interval,
        };
        let context = Arc::new(CycleContext {
            cycle: start.cycle.clone(),
            interval,
            deadline: edge + interval - margin(interval),
            clock: parts.clock.clone(),
            cache: CycleCache::default(),
            host: options.host.clone(),
            sample_source: options.sample_source.clone(),
            batch_size: options.batch_size,
            batch_age: options.batch_age,
            coordinator: parts.coordinator.clone(),
            notifier: parts.notifier.clone(),
            limits: limits.clone(),
            hasher: KeyHasher::default(),
            plugin_runtime: parts.plugin_runtime.clone(),
            stopping: cancellation.clone(),
            cancellation: cancellation.child_token(),
        });
        async move {
            let states = RunStates::default();
            let end = run_cycle(task, &states, context, &start, Duration::ZERO).await;
            events::cycle_ended(&end.record);
            end.record
        }
    });
    futures::future::join_all(cycles).await
}
