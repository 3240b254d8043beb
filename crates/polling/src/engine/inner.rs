//! The state of an engine and the course of its regular cycles.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use nephoscope_model::{CycleId, ScheduleId};
use nephoscope_plugin::BlockingPool;
use nephoscope_sources::Schedule;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::context::{CycleContext, CycleFrame, CycleStart, EngineContext};
use crate::cycle::{Planned, run_cycle};
use crate::events;
use crate::limits::Limits;
use crate::margin::margin;
use crate::options::{EngineOptions, EngineParts};
use crate::plugins::Plugins;
use crate::progress::Progress;
use crate::record::CycleRecord;
use crate::scheduler::{Remainder, Scheduler, Start};
use crate::slot::{Running, Slot};
use crate::splay;
use crate::stats::Totals;

/// The number of cycle records that are stored for the admin API.
const RECORDS: usize = 200;

/// The state of an engine, shared by its handles and its cycles.
pub(super) struct Inner {
    pub(super) options: EngineOptions,
    pub(super) parts: EngineParts,
    pub(super) limits: Arc<Limits>,
    /// The limits of work outside the edges, so that a hung poll there takes no permits from regular cycles.
    pub(super) work_limits: Arc<Limits>,
    pub(super) context: Arc<EngineContext>,
    pub(super) scheduler: Scheduler,
    pub(super) slots: Mutex<HashMap<ScheduleId, Arc<Slot>>>,
    pub(super) plugins: Mutex<Arc<Plugins>>,
    /// The thread pool for the engine's own writes.
    pub(super) blocking: BlockingPool,
    pub(super) progress: Arc<Progress>,
    pub(super) totals: Totals,
    pub(super) records: Mutex<VecDeque<Arc<CycleRecord>>>,
    pub(super) watchers: broadcast::Sender<Arc<CycleRecord>>,
    /// Running cycles.
    pub(super) cycles: TaskTracker,
    /// Held while schedules are added or removed.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl Inner {
    /// The delay of a schedule after its edges.
    pub(super) fn splay(&self, schedule: &Schedule) -> Duration {
        if !self.options.splay {
            return Duration::ZERO;
        }
        let interval = schedule.interval_from(self.parts.clock.wall());
        splay::of(&self.options.agent_id, interval)
    }

    /// Called by the scheduler on the edge; must not wait. The cycle starts here: it records its start and requests its plan.
    /// Everything else is deferred.
    pub(super) fn start_cycle(self: Arc<Self>, slot: &Arc<Slot>, start: Start) -> Option<Remainder> {
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
        let started = CycleStart::now(self.parts.clock.as_ref());
        let deadline = self.deadline(slot, &start);
        // The shared part of the cycle in progress at the start waits for the coordinator.
        let needs_plan = slot.is_shared() && (start.due.is_some() || self.options.shared_in_progress);
        // This runs for each of a thousand cycles of one edge before the last of them starts, so it is short.
        let mut planned = needs_plan.then(|| {
            let (inner, slot, cycle) = (self.clone(), slot.clone(), start.cycle.clone());
            Box::pin(async move { inner.agree(&slot, &cycle, deadline).await })
        });
        // Polled outside tokio's cooperative budget, which a thousand cycles would exceed. A panic recurs in the task, which
        // contains it.
        let poll_once = || tokio::task::unconstrained(planned.as_mut()?.as_mut()).now_or_never();
        let early = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll_once)).unwrap_or(None);
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
                    started,
                    takeover: None,
                    interval: start.interval,
                    deadline,
                });
                let end = self.cycle(&running.0, start, context, planned).await;
                drop(running);
                if let Some(end) = end {
                    self.publish(end);
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

    /// Runs a cycle; `None` if the schedule was removed.
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
                self.store_record(slot, &end.record);
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
        self.store_record(slot, &end.record);
        let (inner, settlements, settlement) =
            (self.clone(), self.context.settlements.clone(), end.settlement());
        self.context.settlements.spawn(async move {
            // A sample that a bound has dropped is lost: polling the cycle again would duplicate the others.
            if let Some(outcome) = settlements.until_cancelled(settlement).await {
                events::cycle_settled(&start.cycle, outcome);
                inner.progress.finished(&start.cycle);
            }
        });
        Some(end.record)
    }

    /// Requests the plan of a cycle from the coordinator, and selects the task of the schedule that it refers to.
    pub(super) async fn agree(&self, slot: &Slot, cycle: &CycleId, deadline: Instant) -> Planned {
        if self.context.stopping.is_cancelled() {
            return Planned::NoPlan("the agent is stopping".to_owned());
        }
        let mut last_planned = slot.last_planned.lock().await;
        let answer = tokio::select! {
            biased;
            () = self.context.ended.cancelled() => return Planned::NoPlan("the agent is stopping".to_owned()),
            answer = timeout_at(deadline, self.parts.coordinator.plan(cycle)) => answer,
        };
        let reason = match answer {
            Ok(Ok(assignment)) => {
                *last_planned = Some(cycle.start);
                let task = slot.choose(assignment.plan.as_ref());
                return Planned::Assigned {
                    task,
                    assignment,
                    only: None,
                };
            }
            Ok(Err(no_plan)) => no_plan.reason,
            Err(_) => "the coordinator did not answer before the deadline".to_owned(),
        };
        if !slot.is_retired() {
            events::no_plan(&slot.schedule.to_string(), &reason);
        }
        Planned::NoPlan(reason)
    }

    /// Removes a retired schedule when no plan relies on it any more.
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

    /// Creates the context of a cycle or takeover.
    pub(super) fn context(&self, frame: CycleFrame) -> Arc<CycleContext> {
        let limits = match frame.takeover {
            None => &self.limits,
            Some(_) => &self.work_limits,
        };
        self.context.cycle(frame, limits.clone())
    }

    /// Adds the record of a cycle to the counters and the last records.
    pub(super) fn store_record(&self, slot: &Slot, record: &Arc<CycleRecord>) {
        slot.count(record);
        self.totals.add(record);
        let mut records = self.records.lock();
        if records.len() >= RECORDS {
            records.pop_front();
        }
        records.push_back(record.clone());
    }

    /// Reports the end of a cycle in the log and to watchers, after all other state is up to date.
    pub(super) fn publish(&self, record: Arc<CycleRecord>) {
        events::cycle_ended(&record);
        let _ = self.watchers.send(record);
    }
}
