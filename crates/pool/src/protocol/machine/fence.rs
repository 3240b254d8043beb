//! The fence: which samples may be sent to the notifier, while the membership lasts and after it was lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use nephoscope_coordination::{BootTime, Unit};

use super::super::action::Action;
use super::super::cycle::{Cycle, MembershipState, Started};
use super::super::division::{Claim, ClaimBasis};
use super::super::event::{Now, WorkName};
use super::super::ids::UnitHash;
use super::super::member::UnitSet;
use super::super::notice::Notice;
use super::super::{Lease, LeaseState};
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
            return Verdict::Allow;
        }
        // The cycle can no longer be taken over, so the owner of its resources is unknown.
        let Some(started) = self.started(work) else {
            return Verdict::Reject;
        };
        let (deadline, certain) = match (&started.membership, self.lease()) {
            (MembershipState::Resolved { deadline, sole_units }, _) => {
                let hash = |unit| UnitHash::of(&self.options.group_prefix, unit);
                let nobody_else = units.iter().all(|unit| sole_units.contains(&hash(unit)));
                (*deadline, Some(nobody_else))
            }
            (MembershipState::Lost { deadline }, _) => (*deadline, None),
            (MembershipState::Valid, Some(lease)) => {
                let confirmed = lease.state(now) == LeaseState::Confirmed;
                (lease.deadline(), confirmed.then_some(true))
            }
            // The cycle was started without a membership, by earlier plans: no plan of the cycle assigns it to other
            // members.
            (MembershipState::Valid, None) => return Verdict::Allow,
        };
        match certain {
            _ if finished < deadline => Verdict::Allow,
            Some(true) => Verdict::Allow,
            Some(false) => Verdict::Reject,
            None if self.unanswered && self.options.on_loss == OnLoss::Continue => Verdict::Allow,
            None if self.unanswered => Verdict::Reject,
            None => Verdict::Unconfirmed,
        }
    }

    /// Decides when etcd did not answer in time, by `on_loss`. Until etcd answers, later samples do not wait.
    pub fn unanswered(&mut self, now: BootTime, work: &WorkName, units: &[Unit], finished: BootTime) -> bool {
        if self.may_hand_over(now, work, units, finished) == Verdict::Unconfirmed {
            self.unanswered = true;
        }
        self.may_hand_over(now, work, units, finished) == Verdict::Allow
    }

    fn started(&self, work: &WorkName) -> Option<&Started> {
        self.schedules
            .get(&work.schedule)?
            .cycles
            .get(&work.start)?
            .started()
    }

    /// Decides about cycles that were started under a lost membership, by the current members of the pool.
    pub(super) fn resolve_lost_cycles(&mut self, out: &mut Out) {
        let mut resolved = Vec::new();
        for (name, schedule) in &self.schedules {
            for (start, cycle) in &schedule.cycles {
                let Some(started) = cycle.started() else { continue };
                let MembershipState::Lost { deadline } = started.membership else {
                    continue;
                };
                let sole_units = match self.options.on_loss {
                    OnLoss::Pause => UnitSet::new(),
                    OnLoss::Continue => self.sole_units_of(name, *start, started),
                };
                resolved.push((name.clone(), *start, deadline, sole_units));
            }
        }
        for (name, start, deadline, sole_units) in resolved {
            let Some(cycle) = self.cycle_mut(&name, start) else {
                continue;
            };
            let id = cycle.edge.cycle.clone();
            let Some(started) = cycle.started_mut() else {
                continue;
            };
            let runs = !started.finished();
            let none = sole_units.is_empty();
            for (unit, progress) in &mut started.units {
                progress.left |= none && !progress.running.is_empty() && !sole_units.contains(unit);
            }
            started.membership = MembershipState::Resolved { deadline, sole_units };
            if !runs {
                continue;
            }
            if none {
                out.push(Action::Cancel(id.clone()));
                out.push(Action::Notice(Notice::Cancelled(id)));
            } else {
                out.push(Action::Notice(Notice::FinishedWithoutMembership(id)));
            }
        }
    }

    /// Takes back units that were left to other members which may not poll them: they lost their memberships too before
    /// they could take over, or etcd is unreachable and they may never have learned about it.
    pub(super) fn take_back(&mut self, now: Now, out: &mut Out) {
        let cut_off = self.is_cut_off(now.boot);
        let outs = self.check_outs && self.incarnation().is_some();
        if !(outs || cut_off) || self.stopping || self.options.on_loss == OnLoss::Pause {
            return;
        }
        let mut back = Vec::new();
        for (name, schedule) in &self.schedules {
            for (start, cycle) in &schedule.cycles {
                let Some(started) = cycle.started() else { continue };
                let (MembershipState::Resolved { sole_units, .. }, Some((plan, me))) =
                    (&started.membership, &started.plan)
                else {
                    continue;
                };
                let new: UnitSet = if cut_off {
                    let left = started.units.iter().filter(|(_, progress)| progress.left);
                    left.map(|(unit, _)| *unit).collect()
                } else {
                    self.sole_units_in(plan, *me)
                        .difference(sole_units)
                        .copied()
                        .collect()
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
            let none_out = BTreeSet::new();
            let Some(started) = self.cycle_mut(&name, start).and_then(Cycle::started_mut) else {
                continue;
            };
            match &mut started.membership {
                // Resolved again when etcd is back.
                MembershipState::Resolved { deadline, .. } if cut_off => {
                    started.membership = MembershipState::Lost { deadline: *deadline }
                }
                MembershipState::Resolved { sole_units, .. } => sole_units.extend(new.iter().copied()),
                MembershipState::Valid | MembershipState::Lost { .. } => {}
            }
            let mut mine = UnitSet::new();
            for unit in &new {
                if let Some(progress) = started.units.get_mut(unit)
                    && std::mem::take(&mut progress.left)
                {
                    progress.running.insert(Some(number));
                    mine.insert(*unit);
                }
            }
            let division = self.division(&name, &plan, me, |hash, candidates| {
                let share = Claim::planned(candidates, &ClaimBasis::share(me, &none_out));
                share.filter(|_| mine.contains(&hash))
            });
            if division.claims.is_empty() {
                continue;
            }
            self.next_takeover += 1;
            out.push(Action::Notice(Notice::FinishedWithoutMembership(cycle.clone())));
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
    pub(super) fn is_cut_off(&self, now: BootTime) -> bool {
        !self.store && !self.holds_lease(now)
    }

    /// Returns the units of a started cycle that no other member can poll.
    fn sole_units_of(
        &self,
        schedule: &nephoscope_model::ScheduleId,
        start: nephoscope_model::Timestamp,
        started: &Started,
    ) -> UnitSet {
        if let Some((plan, me)) = &started.plan {
            return self.sole_units_in(plan, *me);
        }
        // The cycle runs by earlier plans. If a plan of the cycle exists after all, other members follow it.
        let plan = self
            .schedules
            .get(schedule)
            .and_then(|schedule| schedule.plan_of(start));
        match plan.and_then(|plan| Some((plan, self.place_in(plan).number()?))) {
            Some((plan, me)) => self.sole_units_in(plan, me),
            None => started.units.keys().copied().collect(),
        }
    }
}

impl Cycle {
    /// Returns whether the membership under which the cycle was started is still valid.
    pub(super) fn has_valid_membership(&self) -> bool {
        self.started()
            .is_some_and(|started| started.membership == MembershipState::Valid)
    }
}

impl Lease {
    /// Returns whether it cannot have expired.
    pub fn is_confirmed(&self, now: BootTime) -> bool {
        self.state(now) == LeaseState::Confirmed
    }
}
