//! Work that comes outside of the edges: a cycle in progress, and what others have left undone.
//!
//! It runs beside the cycles of its schedule: it holds none of them up, and is never an overrun.

use std::future::ready;
use std::sync::{Arc, Weak};
use std::time::Duration;

use nephoscope_coordination::{Assignment, Unit, Work, WorkId};
use nephoscope_model::CycleId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Inner;
use crate::context::{Begun, CycleFrame};
use crate::cycle::{Planned, run_cycle};
use crate::events;
use crate::margin::margin;
use crate::scheduler::Start;
use crate::slot::Slot;

/// How many of them run at once; further ones wait with the coordinator. A pool that reaches this has lost many members
/// at once, and its schedules are many.
const AT_ONCE: usize = 64;

/// Takes work until the engine is gone.
pub(super) async fn take_work(engine: Weak<Inner>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // A semaphore that is never closed gives a place in the end.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Some(coordinator) = engine.upgrade().map(|inner| inner.parts.coordinator.clone()) else {
            return;
        };
        let work = coordinator.next_work().await;
        let Some(inner) = engine.upgrade() else {
            return;
        };
        inner.begin(work, place);
    }
}

impl Inner {
    fn begin(self: Arc<Self>, work: Work, place: OwnedSemaphorePermit) {
        let (inner, cycles, runtime) = (self.clone(), self.cycles.clone(), self.parts.runtime.clone());
        cycles.spawn_on(
            async move {
                let _place = place;
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

    /// The shared part of a cycle whose edge has passed.
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
        // Waits for an edge that is just asking.
        if *slot.begun.lock().await == Some(cycle.start) {
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
            begun: Begun::now(self.parts.clock.as_ref()),
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
        self.remember(&slot, &end.record);
        self.tell(end.record);
    }

    /// What became this agent's of a cycle that others have left undone.
    async fn takeover(
        self: Arc<Self>,
        work: &WorkId,
        until: Instant,
        mut units: Vec<Unit>,
        assignment: Assignment,
    ) {
        let coordinator = &self.parts.coordinator;
        let give_up = |units: &[Unit], reason: &str| {
            events::takeover_not_begun(work, reason);
            units.iter().for_each(|unit| coordinator.gave_up(work, unit));
        };
        let Some(slot) = self.slot(&work.cycle) else {
            return give_up(&units, "the configuration does not name the schedule any more");
        };
        if until <= Instant::now() {
            return give_up(&units, "the time for it is over");
        }
        let task = slot.tasks.lock().with_most_of(&units);
        let unknown: Vec<_> = units
            .extract_if(.., |unit| !task.shared_units().any(|own| own == unit))
            .collect();
        if !unknown.is_empty() {
            give_up(&unknown, "the configuration does not name the unit any more");
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
            begun: Begun::now(self.parts.clock.as_ref()),
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
        self.remember(&slot, &end.record);
        self.tell(end.record);
    }

    fn slot(&self, cycle: &CycleId) -> Option<Arc<Slot>> {
        self.slots.lock().get(&cycle.schedule).cloned()
    }
}
