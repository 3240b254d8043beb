//! Takeover: the unfinished work of members that are out belongs to the next member of the ranking, in the same cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::BootTime;
use nephoscope_model::{CycleId, ScheduleId, Timestamp};

use super::super::action::{Action, Scope};
use super::super::cycle::{ClaimedStep, Cycle, Started};
use super::super::division::{Claim, ClaimBasis};
use super::super::event::{Now, Snapshot};
use super::super::ids::{Incarnation, UnitHash};
use super::super::mark::{Marks, Step};
use super::super::notice::Notice;
use super::super::record::{Content, Key, Value};
use super::super::schedule::TakeoverState;
use super::{Machine, Out};

/// The time to wait for other members that go out at the same time, so that their work is discovered once.
const GATHER: Duration = Duration::from_millis(100);

/// The pause after a failed read of marks.
const RETRY: Duration = Duration::from_secs(1);

impl Machine {
    /// Checks whether members went out of cycles that can still be taken over, and reads the marks of those schedules.
    pub(super) fn start_takeovers(&mut self, now: Now, out: &mut Out) {
        if !self.rules.takeover || self.stopping || !self.holds_lease(now.boot) {
            return;
        }
        if self.check_outs {
            self.check_outs = false;
            let names: Vec<_> = self.schedules.keys().cloned().collect();
            for name in names {
                if !self.has_new_outs(&name, now.boot) {
                    continue;
                }
                if let Some(schedule) = self.schedules.get_mut(&name) {
                    schedule.takeover = match schedule.takeover {
                        TakeoverState::Idle => TakeoverState::Gathering(now.boot.plus(GATHER)),
                        TakeoverState::Gathering(until) => TakeoverState::Gathering(until),
                        TakeoverState::Reading | TakeoverState::ReadingAgain => TakeoverState::ReadingAgain,
                    };
                }
            }
        }
        if !self.store {
            return;
        }
        for (name, schedule) in &mut self.schedules {
            if let TakeoverState::Gathering(until) = schedule.takeover
                && until <= now.boot
            {
                schedule.takeover = TakeoverState::Reading;
                out.push(Action::Read(Scope::Marks(name.clone())));
            }
        }
    }

    fn has_new_outs(&self, name: &ScheduleId, now: BootTime) -> bool {
        let Some(schedule) = self.schedules.get(name) else {
            return false;
        };
        let cycles = schedule
            .cycles
            .values()
            .filter(|cycle| cycle.has_valid_membership());
        let mut cycles = cycles.filter(|cycle| now < self.until(cycle));
        cycles.any(|cycle| {
            let Some(started) = cycle.started() else {
                return false;
            };
            let Some((plan, me)) = &started.plan else {
                return false;
            };
            let outs = self.outs(name, plan, *me);
            outs.iter().any(|(unit, out)| is_new(started, *unit, out))
        })
    }

    /// Handles the marks of a schedule, read after it was known which members are out.
    pub(super) fn read_marks(&mut self, now: Now, name: &ScheduleId, snapshot: Snapshot, out: &mut Out) {
        let Some(schedule) = self.schedules.get_mut(name) else {
            return;
        };
        match schedule.takeover {
            TakeoverState::Reading => schedule.takeover = TakeoverState::Idle,
            // The members that went out meanwhile may have marked more since.
            TakeoverState::ReadingAgain => {
                schedule.takeover = TakeoverState::Gathering(now.boot);
                return;
            }
            TakeoverState::Idle | TakeoverState::Gathering(_) => return,
        }
        if !self.holds_lease(now.boot) {
            self.check_outs = true;
            return;
        }
        let mut marks = BTreeMap::new();
        for entry in snapshot.entries {
            match (entry.key, entry.content) {
                (Key::Marks(_, incarnation), Content::Value(Value::Marks(value))) => {
                    marks.insert(incarnation, value);
                }
                (_, Content::Invalid(invalid)) => out.push(Action::Notice(Notice::InvalidRecord(invalid))),
                _ => {}
            }
        }
        let Some(schedule) = self.schedules.get(name) else {
            return;
        };
        let cycles = schedule
            .cycles
            .values()
            .filter(|cycle| cycle.has_valid_membership());
        let open: Vec<_> = cycles
            .filter(|cycle| now.boot < self.until(cycle))
            .map(|cycle| (cycle.edge.cycle.clone(), self.until(cycle)))
            .collect();
        for (cycle, until) in open {
            self.take_over(&cycle, until, &marks, out);
        }
    }

    pub(super) fn marks_read_failed(&mut self, now: Now, name: &ScheduleId) {
        if let Some(schedule) = self.schedules.get_mut(name) {
            schedule.takeover = TakeoverState::Gathering(now.boot.plus(RETRY));
        }
    }

    /// Takes over unfinished work in one cycle.
    fn take_over(
        &mut self,
        cycle: &CycleId,
        until: BootTime,
        marks: &BTreeMap<Incarnation, Marks>,
        actions: &mut Out,
    ) {
        let name = &cycle.schedule;
        let Some(started) = self
            .schedules
            .get(name)
            .and_then(|schedule| schedule.cycles.get(&cycle.start)?.started())
        else {
            return;
        };
        let Some((plan, me)) = started.plan.clone() else {
            return;
        };
        let number = self.next_takeover;
        let given_up = self.given_up(name, cycle.start);
        let gone = self.gone(&plan, me);
        let outs = self.outs(name, &plan, me);
        let mut steps = BTreeMap::new();
        let mut newly: BTreeSet<u32> = BTreeSet::new();
        let division = self.division(name, &plan, me, |unit, candidates| {
            let out = outs.get(&unit)?;
            if given_up.contains(&unit) || !is_new(started, unit, out) {
                return None;
            }
            let claimed = started
                .units
                .get(&unit)
                .map_or(&[][..], |progress| &progress.steps);
            let before = claimed.last().map(|step| &step.out);
            let out: BTreeSet<u32> = out.iter().chain(before.into_iter().flatten()).copied().collect();
            newly.extend(
                out.iter()
                    .filter(|number| !before.is_some_and(|before| before.contains(number))),
            );
            let initially_out = claimed.first().map(|step| &step.out);
            let marks = marks_of(marks, &plan, cycle.start, unit, &out);
            // A member that had finished everything, or gave up, has not died on a resource: it stopped.
            let stopped = |number: &u32| {
                let ended = |steps: &&[Step]| !steps.is_empty() && steps.iter().all(|step| step.finished);
                let member = plan.members.get(*number as usize);
                marks.get(number).is_some_and(ended)
                    || member
                        .is_some_and(|member| self.view.gave_up(name, member.incarnation, plan.start, unit))
            };
            let dead = gone
                .iter()
                .filter_map(|number| u32::try_from(*number).ok())
                .filter(|number| !initially_out.is_some_and(|out| out.contains(number)))
                .filter(|number| !stopped(number))
                .collect();
            // If every member that is out has finished its own share, nothing is left to take over.
            let all_done = out.iter().all(|number| {
                let first = marks.get(number).and_then(|steps| steps.first());
                first.is_some_and(|step| step.finished)
            });
            let basis = ClaimBasis {
                me,
                out: &out,
                before,
                dead: &dead,
                marks,
            };
            let claim = Claim::planned(candidates, &basis).filter(|_| !all_done);
            let works = claim.is_some().then_some(Some(number));
            let step = ClaimedStep {
                works: works.into_iter().collect(),
                out,
            };
            steps.insert(unit, step);
            claim
        });
        if let Some(started) = self.cycle_mut(name, cycle.start).and_then(Cycle::started_mut) {
            for (unit, step) in steps {
                let progress = started.units.entry(unit).or_default();
                progress.running.extend(step.works.iter().copied());
                progress.steps.push(step);
            }
        }
        if division.claims.is_empty() {
            return;
        }
        self.next_takeover += 1;
        let gone = newly
            .iter()
            .filter_map(|number| Some(plan.members.get(*number as usize)?.id.clone()));
        actions.push(Action::Notice(Notice::Takeover {
            cycle: cycle.clone(),
            gone: gone.collect(),
        }));
        actions.push(Action::TakeOver {
            cycle: cycle.clone(),
            takeover: number,
            until,
            units: division.claims.keys().cloned().collect(),
            division: Arc::new(division),
        });
    }
}

/// Returns whether a member is out of a unit that was not out at the last step of the unit.
fn is_new(started: &Started, unit: UnitHash, out: &BTreeSet<u32>) -> bool {
    let last = started
        .units
        .get(&unit)
        .and_then(|progress| progress.steps.last());
    !last.is_some_and(|step| out.is_subset(&step.out))
}

/// Returns the marks of the members that are out, for a unit in a cycle.
fn marks_of<'a>(
    marks: &'a BTreeMap<Incarnation, Marks>,
    plan: &super::super::Plan,
    start: Timestamp,
    unit: UnitHash,
    out: &BTreeSet<u32>,
) -> BTreeMap<u32, &'a [Step]> {
    let marked = |number: &u32| -> Option<(u32, &'a [Step])> {
        let member = plan.members.get(*number as usize)?;
        let units = marks.get(&member.incarnation)?.cycles.get(&start)?;
        Some((*number, units.get(&unit)?.as_slice()))
    };
    out.iter().filter_map(marked).collect()
}
