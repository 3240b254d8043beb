//! The status of an agent in its pool.

use nephoscope_coordination::BootTime;

use super::super::action::Action;
use super::super::bad::BadReason;
use super::super::ids::AgentId;
use super::super::lease::Standing;
use super::super::notice::Notice;
use super::super::status::{Membership, Reason, ScheduleStatus, Status};
use super::super::{Member, Plan};
use super::presence::Presence;
use super::{Machine, OnLoss, Out, Place};

impl Machine {
    /// Returns the agent's status.
    pub fn status(&self, now: BootTime) -> Status {
        Status {
            membership: self.membership(now),
            reasons: self.reasons(now),
            members: self.view.len(),
            schedules: self.schedule_status(),
        }
    }

    /// Returns the known members with valid keys.
    pub fn members(&self) -> impl Iterator<Item = (&AgentId, &Member)> {
        self.view.members().map(|(id, member)| (id, &**member))
    }

    fn membership(&self, now: BootTime) -> Membership {
        match &self.presence {
            Presence::None => Membership::None,
            Presence::Joining | Presence::Announcing { .. } => Membership::Joining,
            Presence::Member {
                incarnation, lease, ..
            } => Membership::Member {
                incarnation: *incarnation,
                lease: lease.standing(now),
                leaving: self.stopping,
            },
            Presence::Left => Membership::Left,
        }
    }

    fn reasons(&self, now: BootTime) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let polling = self.options.on_loss == OnLoss::Continue;
        match &self.presence {
            Presence::None | Presence::Left => {}
            Presence::Joining | Presence::Announcing { .. } => match &self.taken {
                Some(host) => reasons.push(Reason::IdTaken { host: host.clone() }),
                None => reasons.push(Reason::NotJoined),
            },
            Presence::Member { lease, .. } => {
                if lease.standing(now) == Standing::Doubtful {
                    reasons.push(Reason::LeaseDoubtful);
                }
            }
        }
        if !self.store {
            reasons.push(Reason::StoreLost { polling });
        }
        if let Some(difference) = self.clocks.off(self.strictest_clock_limit()) {
            reasons.push(Reason::ClockOff { by: difference.by });
        }
        for (name, schedule) in &self.schedules {
            if !self.carried.contains_key(name) {
                continue;
            }
            let bad = self.view.plan(name).and_then(|slot| slot.value.as_ref().err());
            if let Some(BadReason::Versions(versions)) = bad.map(|bad| &bad.reason) {
                reasons.push(Reason::UnknownVersions {
                    schedule: name.clone(),
                    versions: *versions,
                });
            }
            if let Some(polled) = schedule.missed {
                reasons.push(Reason::NoPlan {
                    schedule: name.clone(),
                    polled,
                });
            }
        }
        let bad = self
            .view
            .bad()
            .filter(|bad| !matches!(bad.reason, BadReason::Versions(_)));
        reasons.extend(bad.map(|bad| Reason::BadKey { key: bad.key.clone() }));
        if let Some(member) = self.drifting() {
            reasons.push(Reason::Drift { member });
        }
        reasons
    }

    fn schedule_status(&self) -> Vec<ScheduleStatus> {
        let carried = self.carried.keys();
        let status = carried.filter_map(|name| {
            let plan: Option<&Plan> = self.schedules.get(name)?.plans.back().map(|known| &*known.plan);
            Some(ScheduleStatus {
                schedule: name.clone(),
                plan: plan.map(|plan| plan.start),
                members: plan.map_or(0, |plan| plan.members.len()),
                listed: plan.is_some_and(|plan| matches!(self.place_in(plan), Place::Current(_))),
            })
        });
        status.collect()
    }

    /// Returns a member with the same units and different meters.
    fn drifting(&self) -> Option<AgentId> {
        let own = self.view.member(&self.options.id)?.value.as_ref().ok()?;
        let mut others = self.view.members();
        others
            .find(|(_, other)| {
                !own.leaving
                    && !other.leaving
                    && other.schedules == own.schedules
                    && other.meters != own.meters
            })
            .map(|(id, _)| id.clone())
    }

    fn strictest_clock_limit(&self) -> std::time::Duration {
        let limits = self.carried.keys().map(|name| self.clock_limit(name));
        limits.min().unwrap_or(super::super::LONGEST_LEAD)
    }

    /// Reports when the clock starts or stops to differ.
    pub(super) fn compare_clocks(&mut self, out: &mut Out) {
        let off = self.clocks.off(self.strictest_clock_limit());
        if off.is_some() == self.clock_off {
            return;
        }
        self.clock_off = off.is_some();
        out.push(Action::Notice(match off {
            Some(difference) => Notice::ClockOff {
                by: difference.by,
                ahead: difference.ahead,
            },
            None => Notice::ClockAgrees,
        }));
    }

    /// Reports when the members' meters start or stop to differ.
    pub(super) fn compare_meters(&mut self, out: &mut Out) {
        let drift = self.drifting().is_some();
        if drift == self.drift {
            return;
        }
        self.drift = drift;
        out.push(Action::Notice(if drift {
            Notice::Drift
        } else {
            Notice::NoDrift
        }));
    }
}
