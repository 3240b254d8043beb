//! Work that the coordinator assigns outside the edges: a cycle in progress, and takeovers of other agents' work.
//!
//! It runs concurrently with the cycles of its schedule: it delays none of them and never counts as an overrun.

use std::future::ready;
use std::sync::{Arc, Weak};
use std::time::Duration;

use nephoscope_coordination::{Assignment, Unit, Work, WorkId};
use nephoscope_model::CycleId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::inner::Inner;
use crate::context::{CycleFrame, CycleStart};
use crate::cycle::{Planned, run_cycle};
use crate::events;
use crate::margin::margin;
use crate::scheduler::Start;
use crate::slot::Slot;

/// The maximum number of concurrent assignments; further ones wait at the coordinator. A pool that reaches it has many
/// schedules and has lost many members at once.
const MAX_CONCURRENT: usize = 64;

/// Accepts work until the engine is dropped.
pub(super) async fn accept_work(engine: Weak<Inner>) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let Some(coordinator) = engine.upgrade().map(|inner| inner.parts.coordinator.clone()) else {
            return;
        };
        let work = coordinator.next_work().await;
        let Some(inner) = engine.upgrade() else {
            return;
        };
        inner.start_work(work, permit);
    }
}

impl Inner {
    fn start_work(self: Arc<Self>, work: Work, permit: OwnedSemaphorePermit) {
        let (inner, cycles, runtime) = (self.clone(), self.cycles.clone(), self.parts.runtime.clone());
        cycles.spawn_on(
            async move {
                let _permit = permit;
                match work {
                    Work::InProgress {
                        cycle,
                        edge,
                        interval,
                    } => inner.in_progress(cycle, edge, interval).await,
                    Work::Takeover {
                        id,
                        until,
                        units,
                        assignment,
                    } => inner.takeover(&id, until, units, assignment).await,
                }
            },
            &runtime,
        );
    }

    /// Runs the shared part of a cycle whose edge has passed.
    async fn in_progress(self: Arc<Self>, cycle: CycleId, edge: Instant, interval: Duration) {
        let Some(slot) = self.slot(&cycle) else {
            return;
        };
        let deadline = edge + interval - margin(interval);
        if deadline <= Instant::now() {
            events::in_progress_too_late(&cycle);
            self.parts.coordinator.skipped(&cycle);
            return;
        }
        // Waits for the edge if it is requesting its plan now.
        if *slot.last_planned.lock().await == Some(cycle.start) {
            return;
        }
        let start = Start {
            cycle: cycle.clone(),
            edge,
            due: None,
            interval,
        };
        let context = self.context(CycleFrame {
            cycle: cycle.clone(),
            started: CycleStart::now(self.parts.clock.as_ref()),
            takeover: None,
            interval,
            deadline,
        });
        let planned = self.agree(&slot, &cycle, deadline);
        let end = run_cycle(
            &slot.schedule,
            None,
            planned,
            &slot.states,
            context,
            &start,
            Duration::ZERO,
        )
        .await;
        self.store_record(&slot, &end.record);
        self.publish(end.record);
    }

    /// Runs the part of a cycle that this agent takes over from others.
    async fn takeover(
        self: Arc<Self>,
        work: &WorkId,
        until: Instant,
        mut units: Vec<Unit>,
        assignment: Assignment,
    ) {
        let coordinator = &self.parts.coordinator;
        let give_up = |units: &[Unit], reason: &str| {
            events::takeover_not_started(work, reason);
            units.iter().for_each(|unit| coordinator.gave_up(work, unit));
        };
        let Some(slot) = self.slot(&work.cycle) else {
            return give_up(&units, "the schedule is no longer configured");
        };
        if until <= Instant::now() {
            return give_up(&units, "its deadline has passed");
        }
        let task = slot.tasks.lock().with_most_of(&units);
        let unknown: Vec<_> = units
            .extract_if(.., |unit| !task.shared_units().any(|own| own == unit))
            .collect();
        if !unknown.is_empty() {
            give_up(&unknown, "the unit is no longer configured");
        }
        if units.is_empty() {
            return;
        }
        events::takeover(work, units.len());
        let start = Start {
            cycle: work.cycle.clone(),
            edge: Instant::now(),
            due: None,
            interval: slot.schedule.interval_from(work.cycle.start),
        };
        let context = self.context(CycleFrame {
            cycle: work.cycle.clone(),
            started: CycleStart::now(self.parts.clock.as_ref()),
            takeover: work.takeover,
            interval: start.interval,
            deadline: until,
        });
        let planned = ready(Planned::Assigned {
            task,
            assignment,
            only: Some(units),
        });
        let end = run_cycle(
            &slot.schedule,
            None,
            planned,
            &slot.states,
            context,
            &start,
            Duration::ZERO,
        )
        .await;
        self.store_record(&slot, &end.record);
        self.publish(end.record);
    }

    fn slot(&self, cycle: &CycleId) -> Option<Arc<Slot>> {
        self.slots.lock().get(&cycle.schedule).cloned()
    }
}
