//! The state of a schedule that persists while its sources change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nephoscope_coordination::Plan;
use nephoscope_model::{Histogram, Timestamp};
use nephoscope_sources::Schedule;
use parking_lot::Mutex;

use crate::cycle::RunStates;
use crate::generations::Generations;
use crate::record::CycleRecord;
use crate::scheduler::{ScheduleCounters, Scheduler};
use crate::stats::{RunStatus, TaskStatus, seconds};
use crate::task::{RunDef, TaskDef};

/// A schedule, its tasks, and the counters of its cycles.
pub(crate) struct Slot {
    pub(crate) schedule: Schedule,
    pub(crate) tasks: Mutex<Generations>,
    /// Whether a regular cycle runs (a takeover is not one).
    pub(crate) running: AtomicBool,
    /// The start of the last cycle whose shared units were started; locked while a plan is requested from the coordinator.
    pub(crate) last_planned: tokio::sync::Mutex<Option<Timestamp>>,
    pub(crate) states: RunStates,
    pub(crate) counters: Arc<ScheduleCounters>,
    pub(crate) overruns: AtomicU64,
    pub(crate) overrunning: AtomicBool,
    cycles: AtomicU64,
    takeovers: AtomicU64,
    times: Mutex<Times>,
    last: Mutex<Option<Arc<CycleRecord>>>,
}

/// The lateness and the durations of the cycles of a schedule.
struct Times {
    lateness: Histogram,
    durations: Histogram,
}

impl Slot {
    pub(crate) fn new(task: Arc<TaskDef>) -> Self {
        Self {
            schedule: task.schedule.clone(),
            tasks: Mutex::new(Generations::new(task)),
            running: AtomicBool::new(false),
            last_planned: tokio::sync::Mutex::default(),
            states: RunStates::default(),
            counters: Arc::default(),
            overruns: AtomicU64::new(0),
            overrunning: AtomicBool::new(false),
            cycles: AtomicU64::new(0),
            takeovers: AtomicU64::new(0),
            times: Mutex::new(Times {
                lateness: Histogram::of_lateness(),
                durations: Histogram::of_durations(),
            }),
            last: Mutex::default(),
        }
    }

    /// Adds the task of a reload.
    pub(crate) fn change(&self, task: Arc<TaskDef>) {
        let mut tasks = self.tasks.lock();
        tasks.push(task);
        self.states.keep(tasks.all());
    }

    /// Returns the task whose shared runs `plan` refers to, and drops the state of earlier tasks.
    pub(crate) fn choose(&self, plan: &dyn Plan) -> Arc<TaskDef> {
        let mut tasks = self.tasks.lock();
        let task = tasks.choose(plan);
        self.states.keep(tasks.all());
        task
    }

    /// The task of the current configuration.
    pub(crate) fn newest(&self) -> Arc<TaskDef> {
        self.tasks.lock().newest().clone()
    }

    /// Whether it may have shared runs.
    pub(crate) fn is_shared(&self) -> bool {
        self.tasks.lock().has_shared_runs()
    }

    /// Whether the current configuration does not name it, and only shared runs of an older one continue.
    pub(crate) fn is_retired(&self) -> bool {
        self.tasks.lock().newest().runs.is_empty()
    }

    /// Counts a cycle that has ended.
    pub(crate) fn count(&self, record: &Arc<CycleRecord>) {
        if record.takeover.is_some() {
            self.takeovers.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.cycles.fetch_add(1, Ordering::Relaxed);
        let mut times = self.times.lock();
        if let Some(lateness) = record.lateness {
            times.lateness.add(seconds(lateness));
        }
        times.durations.add(seconds(record.duration));
        drop(times);
        *self.last.lock() = Some(record.clone());
    }

    /// The record of the last cycle that has ended, not counting takeovers.
    pub(crate) fn last(&self) -> Option<Arc<CycleRecord>> {
        self.last.lock().clone()
    }

    pub(crate) fn status(&self, scheduler: &Scheduler) -> TaskStatus {
        let task = self.newest();
        let times = self.times.lock();
        let (lateness, durations) = (times.lateness.clone(), times.durations.clone());
        drop(times);
        TaskStatus {
            schedule: task.schedule.to_string(),
            schedule_id: task.schedule.id().to_string(),
            sources: task.sources.clone(),
            runs: task.runs.iter().map(|run| run_status(&task, run)).collect(),
            next: scheduler.next(task.schedule.id()).map(|next| next.to_string()),
            running: self.running.load(Ordering::Relaxed),
            cycles: self.cycles.load(Ordering::Relaxed),
            takeovers: self.takeovers.load(Ordering::Relaxed),
            overruns: self.overruns.load(Ordering::Relaxed),
            missed: self.counters.missed.load(Ordering::Relaxed),
            repeated: self.counters.repeated.load(Ordering::Relaxed),
            lateness,
            durations,
        }
    }
}

/// The status of a pollster run.
pub fn run_status(task: &TaskDef, run: &RunDef) -> RunStatus {
    let names = |indices: &mut dyn Iterator<Item = &usize>| {
        let mut names: Vec<Arc<str>> = Vec::new();
        for listing in indices.filter_map(|index| task.listings.get(*index)) {
            if !names.contains(&listing.unit.discovery) {
                names.push(listing.unit.discovery.clone());
            }
        }
        names
    };
    RunStatus {
        pollster: run.pollster.name.clone(),
        meters: run.meters.clone(),
        discoveries: names(&mut run.inputs.iter().flat_map(|input| &input.listings)),
        fallbacks: names(&mut run.inputs.iter().flat_map(|input| &input.fallback)),
    }
}

/// Marks a cycle of the slot as running until it is dropped.
pub(crate) struct Running(pub(crate) Arc<Slot>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}
