//! The fence: what may go to the notifier, as long as the membership lasts, and after it was lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use nephoscope_coordination::{BootTime, Unit};

use super::super::action::Action;
use super::super::cycle::{Begun, Cycle, Fate};
use super::super::division::{Claim, Grounds};
use super::super::event::{Now, WorkName};
use super::super::ids::UnitHash;
use super::super::member::UnitSet;
use super::super::notice::Notice;
use super::super::{Lease, Standing};
use super::{Machine, OnLoss, Out, Verdict};

impl Machine {
    /// The fence: whether samples of `units` that were polled in `work`, the last of them at `finished`, may go to the
    /// notifier.
    pub fn may_hand_over(
        &self,
        now: BootTime,
        work: &WorkName,
        units: &[Unit],
        finished: BootTime,
    ) -> Verdict {
        if !self.rules.fence {
            return Verdict::HandOver;
        }
        // Of a cycle that is over so long that nobody can take it over, nobody knows any more who has it.
        let Some(begun) = self.begun(work) else {
            return Verdict::Refuse;
        };
        let (deadline, certain) = match (&begun.fate, self.lease()) {
            (Fate::Judged { deadline, alone }, _) => {
                let hash = |unit| UnitHash::of(&self.options.group_prefix, unit);
                let nobody_else = units.iter().all(|unit| alone.contains(&hash(unit)));
                (*deadline, Some(nobody_else))
            }
            (Fate::Lost { deadline }, _) => (*deadline, None),
            (Fate::Lasting, Some(lease)) => {
                let held = lease.standing(now) == Standing::Held;
                (lease.deadline(), held.then_some(true))
            }
            // It was begun without a membership, by former plans: no plan of the cycle gives it to others.
            (Fate::Lasting, None) => return Verdict::HandOver,
        };
        match certain {
            _ if finished < deadline => Verdict::HandOver,
            Some(true) => Verdict::HandOver,
            Some(false) => Verdict::Refuse,
            None if self.unanswered && self.options.on_loss == OnLoss::Continue => Verdict::HandOver,
            None if self.unanswered => Verdict::Refuse,
            None => Verdict::Ask,
        }
    }

    /// The same, when an answer was waited for in vain: `on_loss` decides. Until etcd answers, nothing asks again.
    pub fn unanswered(&mut self, now: BootTime, work: &WorkName, units: &[Unit], finished: BootTime) -> bool {
        if self.may_hand_over(now, work, units, finished) == Verdict::Ask {
            self.unanswered = true;
        }
        self.may_hand_over(now, work, units, finished) == Verdict::HandOver
    }

    fn begun(&self, work: &WorkName) -> Option<&Begun> {
        self.schedules
            .get(&work.schedule)?
            .cycles
            .get(&work.start)?
            .begun()
    }

    /// Decides, as far as it is known now who stands in the pool, what becomes of cycles that were begun under a
    /// membership that is lost.
    pub(super) fn judge(&mut self, out: &mut Out) {
        let mut judged = Vec::new();
        for (name, schedule) in &self.schedules {
            for (start, cycle) in &schedule.cycles {
                let Some(begun) = cycle.begun() else { continue };
                let Fate::Lost { deadline } = begun.fate else {
                    continue;
                };
                let alone = match self.options.on_loss {
                    OnLoss::Pause => UnitSet::new(),
                    OnLoss::Continue => self.alone_of(name, *start, begun),
                };
                judged.push((name.clone(), *start, deadline, alone));
            }
        }
        for (name, start, deadline, alone) in judged {
            let Some(cycle) = self.cycle_mut(&name, start) else {
                continue;
            };
            let id = cycle.edge.cycle.clone();
            let Some(begun) = cycle.begun_mut() else { continue };
            let runs = !begun.finished();
            let none = alone.is_empty();
            for (unit, progress) in &mut begun.units {
                progress.left |= none && !progress.running.is_empty() && !alone.contains(unit);
            }
            begun.fate = Fate::Judged { deadline, alone };
            if !runs {
                continue;
            }
            if none {
                out.push(Action::Cancel(id.clone()));
                out.push(Action::Notice(Notice::Cancelled(id)));
            } else {
                out.push(Action::Notice(Notice::FinishedAlone(id)));
            }
        }
    }

    /// What was left to others is this agent's again where they may not do it: they lost their memberships too before they
    /// could take it over; or etcd is away, and they may never have learned that it was left to them.
    pub(super) fn take_back(&mut self, now: Now, out: &mut Out) {
        let away = self.is_away(now.boot);
        let outs = self.look_for_outs && self.incarnation().is_some();
        if !(outs || away) || self.stopping || self.options.on_loss == OnLoss::Pause {
            return;
        }
        let mut back = Vec::new();
        for (name, schedule) in &self.schedules {
            for (start, cycle) in &schedule.cycles {
                let Some(begun) = cycle.begun() else { continue };
                let (Fate::Judged { alone, .. }, Some((plan, me))) = (&begun.fate, &begun.plan) else {
                    continue;
                };
                let new: UnitSet = if away {
                    let left = begun.units.iter().filter(|(_, progress)| progress.left);
                    left.map(|(unit, _)| *unit).collect()
                } else {
                    self.alone_in(plan, *me).difference(alone).copied().collect()
                };
                let until = self.until(cycle);
                if !new.is_empty() && now.boot < until {
                    back.push((
                        name.clone(),
                        *start,
                        cycle.edge.cycle.clone(),
                        plan.clone(),
                        *me,
                        new,
                        until,
                    ));
                }
            }
        }
        for (name, start, cycle, plan, me, new, until) in back {
            let number = self.next_succession;
            let nobody = BTreeSet::new();
            let Some(begun) = self.cycle_mut(&name, start).and_then(Cycle::begun_mut) else {
                continue;
            };
            match &mut begun.fate {
                // To be judged again when etcd is back.
                Fate::Judged { deadline, .. } if away => begun.fate = Fate::Lost { deadline: *deadline },
                Fate::Judged { alone, .. } => alone.extend(new.iter().copied()),
                Fate::Lasting | Fate::Lost { .. } => {}
            }
            let mut mine = UnitSet::new();
            for unit in &new {
                if let Some(progress) = begun.units.get_mut(unit)
                    && std::mem::take(&mut progress.left)
                {
                    progress.running.insert(Some(number));
                    mine.insert(*unit);
                }
            }
            let division = self.division(&name, &plan, me, |hash, carriers| {
                let share = Claim::planned(carriers, &Grounds::share(me, &nobody));
                share.filter(|_| mine.contains(&hash))
            });
            if division.claims.is_empty() {
                continue;
            }
            self.next_succession += 1;
            out.push(Action::Notice(Notice::FinishedAlone(cycle.clone())));
            out.push(Action::Succeed {
                cycle,
                succession: number,
                until,
                units: division.claims.keys().cloned().collect(),
                division: Arc::new(division),
            });
        }
    }

    /// Whether etcd is away for so long that this agent's membership, if it has one, may have ended meanwhile.
    pub(super) fn is_away(&self, now: BootTime) -> bool {
        !self.store && !self.holds_lease(now)
    }

    /// Units of a begun cycle that nobody else can have.
    fn alone_of(
        &self,
        schedule: &nephoscope_model::ScheduleId,
        start: nephoscope_model::Timestamp,
        begun: &Begun,
    ) -> UnitSet {
        if let Some((plan, me)) = &begun.plan {
            return self.alone_in(plan, *me);
        }
        // It runs by former plans. Where a plan of the cycle came to be after all, others follow that.
        let plan = self
            .schedules
            .get(schedule)
            .and_then(|schedule| schedule.plan_of(start));
        match plan.and_then(|plan| Some((plan, self.place_in(plan).number()?))) {
            Some((plan, me)) => self.alone_in(plan, me),
            None => begun.units.keys().copied().collect(),
        }
    }
}

impl Cycle {
    /// Whether the membership that it was begun under lasts.
    pub(super) fn lasts(&self) -> bool {
        self.begun().is_some_and(|begun| begun.fate == Fate::Lasting)
    }
}

impl Lease {
    /// Whether it cannot have run out.
    pub fn held(&self, now: BootTime) -> bool {
        self.standing(now) == Standing::Held
    }
}
