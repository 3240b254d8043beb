//! Marks and give-ups: an agent's records about its own cycles.

use std::time::Duration;

use nephoscope_model::ScheduleId;

use super::super::action::Action;
use super::super::cycle::Cycle;
use super::super::event::Now;
use super::super::ids::Incarnation;
use super::super::mark::Marks;
use super::super::record::{Key, Value};
use super::super::schedule::Schedule;
use super::presence::Presence;
use super::{Machine, Out};

/// The pause after a failed write of a record.
const RETRY: Duration = Duration::from_secs(1);

impl Machine {
    /// Writes marks and give-ups that are due.
    pub(super) fn write_due_records(&mut self, now: Now, out: &mut Out) {
        let Presence::Member { incarnation, .. } = self.presence else {
            return;
        };
        if !self.store {
            return;
        }
        for (name, schedule) in &mut self.schedules {
            if schedule.marks.is_due(now.boot) {
                schedule.marks.start();
                out.push(marks_of(name, schedule, incarnation));
            }
            if schedule.give_ups.is_due(now.boot) {
                schedule.give_ups.start();
                out.push(give_ups_of(name, schedule, incarnation));
            }
        }
    }

    pub(super) fn record_written(&mut self, key: &Key) {
        if let Some(pending_write) = self.pending_write(key) {
            pending_write.writing = false;
        }
    }

    pub(super) fn record_write_failed(&mut self, now: Now, key: &Key) {
        if let Some(pending_write) = self.pending_write(key) {
            pending_write.writing = false;
            pending_write.schedule_at(now.boot.plus(RETRY));
        }
    }

    fn pending_write(&mut self, key: &Key) -> Option<&mut super::super::schedule::PendingWrite> {
        if key.incarnation() != self.incarnation() {
            return None;
        }
        match key {
            Key::Marks(schedule, _) => Some(&mut self.schedules.get_mut(schedule)?.marks),
            Key::GiveUps(schedule, _) => Some(&mut self.schedules.get_mut(schedule)?.give_ups),
            Key::Member(_) | Key::Plan(_) => None,
        }
    }

    /// Gives up all started and unfinished units.
    pub(super) fn give_up_the_rest(&mut self) {
        for schedule in self.schedules.values_mut() {
            for (start, cycle) in &schedule.cycles {
                let Some(started) = cycle.started().filter(|_| cycle.has_valid_membership()) else {
                    continue;
                };
                let unfinished = started
                    .units
                    .iter()
                    .filter(|(_, progress)| !progress.running.is_empty());
                let units: Vec<_> = unfinished.map(|(unit, _)| *unit).collect();
                if !units.is_empty() {
                    schedule.given_up.cycles.entry(*start).or_default().extend(units);
                    schedule.give_ups.schedule_at(self.now);
                }
            }
        }
    }

    /// Writes the last records of a membership, if they are not written.
    pub(super) fn last_records(&mut self, incarnation: Incarnation, out: &mut Out) {
        for (name, schedule) in &mut self.schedules {
            if schedule.marks.due.is_some() || schedule.marks.writing {
                out.push(marks_of(name, schedule, incarnation));
            }
            if schedule.give_ups.due.is_some() || schedule.give_ups.writing {
                out.push(give_ups_of(name, schedule, incarnation));
            }
        }
    }
}

fn marks_of(name: &ScheduleId, schedule: &Schedule, incarnation: Incarnation) -> Action {
    let of = |cycle: &Cycle| {
        let started = cycle
            .started()
            .filter(|started| started.incarnation == Some(incarnation))?;
        let marks = started.marks();
        (!marks.is_empty()).then_some(marks)
    };
    let cycles = schedule.cycles.iter();
    let cycles = cycles.filter_map(|(start, cycle)| Some((*start, of(cycle)?)));
    Action::Write {
        key: Key::Marks(name.clone(), incarnation),
        value: Value::Marks(Marks {
            cycles: cycles.collect(),
        }),
        only_if: Vec::new(),
    }
}

fn give_ups_of(name: &ScheduleId, schedule: &Schedule, incarnation: Incarnation) -> Action {
    Action::Write {
        key: Key::GiveUps(name.clone(), incarnation),
        value: Value::GiveUps(schedule.given_up.clone()),
        only_if: Vec::new(),
    }
}
