//! The fence: which samples may be sent to the notifier, while the membership lasts and after it was lost.

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
    /// Decides whether samples of `units` that were polled in `work`, the last of them at `finished`, may be sent to the
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
        // The cycle can no longer be taken over, so the owner of its resources is unknown.
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
            // The cycle was started without a membership, by earlier plans: no plan of the cycle assigns it to other
            // members.
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

    /// Decides when etcd did not answer in time, by `on_loss`. Until etcd answers, later samples do not wait.
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

    /// Decides about cycles that were started under a lost membership, by the current members of the pool.
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

    /// Takes back units that were left to other members which may not poll them: they lost their memberships too before
    /// they could take over, or etcd is unreachable and they may never have learned about it.
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
            let number = self.next_takeover;
            let nobody = BTreeSet::new();
            let Some(begun) = self.cycle_mut(&name, start).and_then(Cycle::begun_mut) else {
                continue;
            };
            match &mut begun.fate {
                // Resolved again when etcd is back.
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
            self.next_takeover += 1;
            out.push(Action::Notice(Notice::FinishedAlone(cycle.clone())));
            out.push(Action::TakeOver {
                cycle,
                takeover: number,
                until,
                units: division.claims.keys().cloned().collect(),
                division: Arc::new(division),
            });
        }
    }

    /// Returns whether etcd is unreachable for so long that this agent's membership may have ended.
    pub(super) fn is_away(&self, now: BootTime) -> bool {
        !self.store && !self.holds_lease(now)
    }

    /// Returns the units of a started cycle that no other member can poll.
    fn alone_of(
        &self,
        schedule: &nephoscope_model::ScheduleId,
        start: nephoscope_model::Timestamp,
        begun: &Begun,
    ) -> UnitSet {
        if let Some((plan, me)) = &begun.plan {
            return self.alone_in(plan, *me);
        }
        // The cycle runs by earlier plans. If a plan of the cycle exists after all, other members follow it.
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
    /// Returns whether the membership under which the cycle was started is still valid.
    pub(super) fn lasts(&self) -> bool {
        self.begun().is_some_and(|begun| begun.fate == Fate::Lasting)
    }
}

impl Lease {
    /// Returns whether it cannot have expired.
    pub fn held(&self, now: BootTime) -> bool {
        self.standing(now) == Standing::Held
    }
}
