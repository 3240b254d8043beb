//! The engine: tasks, their cycles, and changes to them while it runs.

mod beside;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use nephoscope_coordination::{InProgress, Registration};
use nephoscope_model::{CycleId, ScheduleId};
use nephoscope_notifier::Notifier;
use nephoscope_plugin::BlockingPool;
use nephoscope_sources::{Schedule, Source};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::beside::take_work;
use crate::classes::SourceClasses;
use crate::clock::Clock;
use crate::context::{Begun, CycleContext, CycleFrame, EngineContext};
use crate::cycle::{Planned, RunStates, run_cycle};
use crate::events;
use crate::limits::Limits;
use crate::margin::margin;
pub use crate::options::{EngineOptions, EngineParts};
use crate::plugins::Plugins;
use crate::progress::Progress;
use crate::record::CycleRecord;
use crate::scheduler::{Entry, Prepare, Remainder, Scheduler, Start};
pub use crate::slot::run_status;
use crate::slot::{Running, Slot};
use crate::splay;
use crate::stats::{SchedulerStatus, SetAsideStatus, TaskStatus, Totals, seconds};
use crate::task::TaskDef;
use crate::ticker::Ticker;

/// How many records of cycles are kept for the admin API.
const RECORDS: usize = 200;

/// Records that wait for one who watches; who is slower misses the oldest.
const WATCHED: usize = 64;

/// After the time for a graceful stop, how long polls that were told to end may take.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// A running engine; cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    options: EngineOptions,
    parts: EngineParts,
    limits: Arc<Limits>,
    /// Of work beside the cycles: what hangs there must take no places from them.
    limits_beside: Arc<Limits>,
    context: Arc<EngineContext>,
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
    /// Held while schedules come and go.
    changing: tokio::sync::Mutex<()>,
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
        let context = EngineContext::new(&options, &parts, stopping, CancellationToken::new());
        let inner = Arc::new(Inner {
            limits: Arc::new(Limits::new(options.limits)),
            limits_beside: Arc::new(Limits::new(options.limits)),
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
        let work = take_work(Arc::downgrade(&inner));
        let until = inner.context.stopping.clone();
        inner.parts.runtime.spawn(async move {
            let _ = until.run_until_cancelled(work).await;
        });
        Self(inner)
    }

    /// Polls these sources with these plugins from now on, for the publishers that the notifier has now. Schedules that stay neither miss nor repeat a
    /// cycle, and running polls are not cut off. What agents share changes with the first plan that lists this
    /// agent's new units.
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
                            applied.kept += 1;
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
                    // Others count on it until a plan comes that does not.
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
        let in_progress = first && (task.has_own_runs() || inner.options.shared_in_progress);
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
            begin_in_progress: in_progress && !finished,
            expected: is_shared && !inner.options.shared_in_progress,
            counters: slot.counters.clone(),
            prepare,
            start: Arc::new(move |start| weak.upgrade()?.start_cycle(&slot, start)),
        }
    }

    /// Ends gracefully: no cycle starts any more, those that run have until `deadline`, then what they have is
    /// handed over.
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

    /// Waits for the receipts of all cycles, at most until `deadline`; then writes what is finished, and leaves the
    /// pool. Called after the notifier has flushed its queues.
    pub async fn settle(&self, deadline: Instant) {
        let inner = &self.0;
        if timeout_at(deadline, inner.context.settlements.done())
            .await
            .is_err()
        {
            inner.context.settlements.end().await;
        }
        // Said already when the file could not be written before.
        let _ = inner.progress.write(&inner.blocking).await;
        // Others need not wait for the end of a lease if it is given back.
        let deadline = deadline.max(Instant::now() + LAST_GRACE);
        let _ = timeout_at(deadline, inner.parts.coordinator.leave()).await;
    }

    /// Ends running cycles now; see [`Engine::stop`].
    pub fn abort(&self) {
        self.0.context.stopping.cancel();
        self.0.context.ended.cancel();
    }

    /// Each record of a cycle as it ends.
    pub fn watch(&self) -> broadcast::Receiver<Arc<CycleRecord>> {
        self.0.watchers.subscribe()
    }

    /// The last records, newest first.
    pub fn records(&self) -> Vec<Arc<CycleRecord>> {
        self.0.records.lock().iter().rev().cloned().collect()
    }

    /// The last record of each present task, however long ago.
    pub fn last_records(&self) -> Vec<Arc<CycleRecord>> {
        let slots = self.0.slots.lock();
        slots.values().filter_map(|slot| slot.last()).collect()
    }

    /// Why finished cycles could not be written to the state folder the last time, if so.
    pub fn state_trouble(&self) -> Option<String> {
        self.0.progress.trouble()
    }

    /// All tasks, by schedule.
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

    /// Called by the scheduler on the edge: must not wait. The cycle begins here, with its first step: it notes its
    /// start, and asks for its plan. All else is for later.
    fn start_cycle(self: Arc<Self>, slot: &Arc<Slot>, start: Start) -> Option<Remainder> {
        if self.context.stopping.is_cancelled() {
            return None;
        }
        if slot.running.swap(true, Ordering::AcqRel) {
            slot.overruns.fetch_add(1, Ordering::Relaxed);
            if !slot.overrunning.swap(true, Ordering::Relaxed) {
                events::cycle_overrun(&slot.schedule, &start.cycle);
            }
            if slot.is_shared() {
                self.parts.coordinator.skipped(&start.cycle);
            }
            return None;
        }
        slot.overrunning.store(false, Ordering::Relaxed);
        let running = Running(slot.clone());
        let begun = Begun::now(self.parts.clock.as_ref());
        let deadline = self.deadline(slot, &start);
        // In the cycle in progress at the start, what is shared waits for the coordinator.
        let asks = slot.is_shared() && (start.due.is_some() || self.options.shared_in_progress);
        // Small, as all that is done for each of a thousand cycles of one edge before the last of them begins.
        let mut planned = asks.then(|| {
            let (inner, slot, cycle) = (self.clone(), slot.clone(), start.cycle.clone());
            Box::pin(async move { inner.agree(&slot, &cycle, deadline).await })
        });
        // Not within the scheduler's share of time, of which a thousand cycles would take more than there is. A panic
        // comes again in the task, which contains it.
        let ask = || tokio::task::unconstrained(planned.as_mut()?.as_mut()).now_or_never();
        let early = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask)).unwrap_or(None);
        Some(Box::new(move || {
            let (cycles, runtime) = (self.cycles.clone(), self.parts.runtime.clone());
            let cycle = async move {
                let planned = async move {
                    match (early, planned) {
                        (Some(early), _) => early,
                        (None, Some(planned)) => planned.await,
                        (None, None) => Planned::NotNeeded,
                    }
                };
                let context = self.context(CycleFrame {
                    cycle: start.cycle.clone(),
                    begun,
                    takeover: None,
                    interval: start.interval,
                    deadline,
                });
                let end = self.cycle(&running.0, start, context, planned).await;
                drop(running);
                if let Some(end) = end {
                    self.tell(end);
                }
            };
            cycles.spawn_on(cycle, &runtime);
        }))
    }

    /// When the polls of a cycle must have ended.
    fn deadline(&self, slot: &Slot, start: &Start) -> Instant {
        let delay = if slot.is_shared() {
            Duration::ZERO
        } else {
            self.splay(&slot.schedule)
        };
        start.edge + delay + start.interval - margin(start.interval)
    }

    /// Runs a cycle; `None` if the schedule is gone by now.
    async fn cycle(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        start: Start,
        context: Arc<CycleContext>,
        planned: impl Future<Output = Planned>,
    ) -> Option<Arc<CycleRecord>> {
        let splay = self.splay(&slot.schedule);
        let newest = slot.newest();
        if newest.runs.is_empty() {
            let planned = planned.await;
            if matches!(&planned, Planned::Assigned { task, .. } if !task.runs.is_empty()) {
                let states = &slot.states;
                let end = run_cycle(
                    &slot.schedule,
                    None,
                    async { planned },
                    states,
                    context,
                    &start,
                    splay,
                )
                .await;
                self.remember(slot, &end.record);
                return Some(end.record);
            }
            self.forget(slot).await;
            return None;
        }
        let end = run_cycle(
            &slot.schedule,
            Some(&newest),
            planned,
            &slot.states,
            context,
            &start,
            splay,
        )
        .await;
        self.remember(slot, &end.record);
        let (inner, patience, settlement) =
            (self.clone(), self.context.settlements.clone(), end.settlement());
        self.context.settlements.spawn(async move {
            // What a bound has dropped is gone: polling the cycle again would not be at least once, but twice.
            if let Some(outcome) = patience.patiently(settlement).await {
                events::cycle_settled(&start.cycle, outcome);
                inner.progress.finished(&start.cycle);
            }
        });
        Some(end.record)
    }

    /// Asks the coordinator for the plan of a cycle, and which task of the schedule it is about.
    async fn agree(&self, slot: &Slot, cycle: &CycleId, deadline: Instant) -> Planned {
        if self.context.stopping.is_cancelled() {
            return Planned::None("the agent stops".to_owned());
        }
        let mut begun = slot.begun.lock().await;
        let answer = tokio::select! {
            biased;
            () = self.context.ended.cancelled() => return Planned::None("the agent stops".to_owned()),
            answer = timeout_at(deadline, self.parts.coordinator.plan(cycle)) => answer,
        };
        let reason = match answer {
            Ok(Ok(assignment)) => {
                *begun = Some(cycle.start);
                let task = slot.choose(assignment.plan.as_ref());
                return Planned::Assigned {
                    task,
                    assignment,
                    only: None,
                };
            }
            Ok(Err(no_plan)) => no_plan.reason,
            Err(_) => "the coordinator did not answer in time".to_owned(),
        };
        if !slot.is_retired() {
            events::no_plan(&slot.schedule.to_string(), &reason);
        }
        Planned::None(reason)
    }

    /// No plan counts on a schedule any more that the configuration does not name.
    async fn forget(&self, slot: &Arc<Slot>) {
        let _changing = self.changing.lock().await;
        let id = slot.schedule.id();
        {
            let mut slots = self.slots.lock();
            if !slots
                .get(id)
                .is_some_and(|known| Arc::ptr_eq(known, slot) && known.is_retired())
            {
                return;
            }
            slots.remove(id);
        }
        self.scheduler.remove(id.clone()).await;
    }

    fn context(&self, frame: CycleFrame) -> Arc<CycleContext> {
        let limits = match frame.takeover {
            None => &self.limits,
            Some(_) => &self.limits_beside,
        };
        self.context.cycle(frame, limits.clone())
    }

    fn remember(&self, slot: &Slot, record: &Arc<CycleRecord>) {
        slot.count(record);
        self.totals.add(record);
        let mut records = self.records.lock();
        if records.len() >= RECORDS {
            records.pop_front();
        }
        records.push_back(record.clone());
    }

    /// Says that a cycle has ended. Who reads the log, or watches, finds everything else up to date.
    fn tell(&self, record: Arc<CycleRecord>) {
        events::cycle_ended(&record);
        let _ = self.watchers.send(record);
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
    let tasks = TaskDef::plan(sources, plugins, &source_classes(&parts.notifier));
    let limits = Arc::new(Limits::new(options.limits));
    let shared = EngineContext::new(options, &parts, cancellation.clone(), cancellation.clone());
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
        let frame = CycleFrame {
            cycle: start.cycle.clone(),
            begun: Begun::now(parts.clock.as_ref()),
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
                    Err(no_plan) => Planned::None(no_plan.reason),
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

/// The sources that the publishers in use tell apart.
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
