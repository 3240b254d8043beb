//! The status of an agent in its pool.

use nephoscope_coordination::BootTime;

use super::super::action::Action;
use super::super::ids::AgentId;
use super::super::invalid::InvalidReason;
use super::super::lease::LeaseState;
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
                lease: lease.state(now),
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
            Presence::Joining | Presence::Announcing { .. } => match &self.duplicate_host {
                Some(host) => reasons.push(Reason::DuplicateId { host: host.clone() }),
                None => reasons.push(Reason::NotJoined),
            },
            Presence::Member { lease, .. } => {
                if lease.state(now) == LeaseState::Unconfirmed {
                    reasons.push(Reason::LeaseUnconfirmed);
                }
            }
        }
        if !self.store {
            reasons.push(Reason::StoreLost { polling });
        }
        if let Some(difference) = self.clocks.skew(self.strictest_clock_limit()) {
            reasons.push(Reason::ClockSkew { by: difference.by });
        }
        for (name, schedule) in &self.schedules {
            if !self.registered.contains_key(name) {
                continue;
            }
            let invalid = self.view.plan(name).and_then(|slot| slot.value.as_ref().err());
            if let Some(InvalidReason::Versions(versions)) = invalid.map(|invalid| &invalid.reason) {
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
        let invalid = self
            .view
            .invalid()
            .filter(|invalid| !matches!(invalid.reason, InvalidReason::Versions(_)));
        reasons.extend(invalid.map(|invalid| Reason::InvalidKey {
            key: invalid.key.clone(),
        }));
        if let Some(member) = self.mismatching_member() {
            reasons.push(Reason::ConfigMismatch { member });
        }
        reasons
    }

    fn schedule_status(&self) -> Vec<ScheduleStatus> {
        let registered = self.registered.keys();
        let status = registered.filter_map(|name| {
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
    fn mismatching_member(&self) -> Option<AgentId> {
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
        let limits = self.registered.keys().map(|name| self.clock_limit(name));
        limits.min().unwrap_or(super::super::MAX_LEAD)
    }

    /// Reports when the clock starts or stops to differ.
    pub(super) fn compare_clocks(&mut self, out: &mut Out) {
        let skew = self.clocks.skew(self.strictest_clock_limit());
        if skew.is_some() == self.clock_skew {
            return;
        }
        self.clock_skew = skew.is_some();
        out.push(Action::Notice(match skew {
            Some(difference) => Notice::ClockSkew {
                by: difference.by,
                ahead: difference.ahead,
            },
            None => Notice::ClockAgrees,
        }));
    }

    /// Reports when the members' meters start or stop to differ.
    pub(super) fn compare_meters(&mut self, out: &mut Out) {
        let mismatch = self.mismatching_member().is_some();
        if mismatch == self.config_mismatch {
            return;
        }
        self.config_mismatch = mismatch;
        out.push(Action::Notice(if mismatch {
            Notice::ConfigMismatch
        } else {
            Notice::ConfigMatches
        }));
    }
}
