//! The membership of an agent: join, renewal and loss.

use std::time::Duration;

use nephoscope_coordination::BootTime;

use super::super::action::{Action, Condition};
use super::super::cycle::MembershipState;
use super::super::event::{Now, Session, Written};
use super::super::ids::{Incarnation, Revision};
use super::super::lease::Lease;
use super::super::member::{Member, Versions};
use super::super::notice::Notice;
use super::super::record::{Content, Entry, Key, Value};
use super::super::{LeaseState, MAX_BACKOFF};
use super::presence::{OwnKeyWrite, Presence};
use super::{Machine, OnLoss, Out};

/// The first pause between two attempts to join; doubled after each.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);

/// The pause after a failed write of this agent's key.
const RETRY: Duration = Duration::from_secs(1);

/// The number of former incarnations to remember: more than the last two plans can list.
const MAX_FORMER: usize = 4;

impl Machine {
    /// Returns this agent's current or starting membership.
    pub(super) fn incarnation(&self) -> Option<Incarnation> {
        match &self.presence {
            Presence::Announcing { incarnation, .. } | Presence::Member { incarnation, .. } => {
                Some(*incarnation)
            }
            Presence::None | Presence::Joining | Presence::Left => None,
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.presence {
            Presence::Announcing { lease, .. } | Presence::Member { lease, .. } => Some(lease),
            Presence::None | Presence::Joining | Presence::Left => None,
        }
    }

    /// Returns whether this agent is a member with a confirmed lease.
    pub(super) fn holds_lease(&self, now: BootTime) -> bool {
        match &self.presence {
            Presence::Member { lease, .. } => lease.state(now) == LeaseState::Confirmed,
            _ => false,
        }
    }

    /// Returns this agent's key.
    pub(super) fn own_key(&self) -> Key {
        Key::Member(self.options.id.clone())
    }

    pub(super) fn join(&mut self, after: Duration, out: &mut Out) {
        self.presence = Presence::Joining;
        out.push(Action::Join { after });
    }

    pub(super) fn join_failed(&mut self, out: &mut Out) {
        if matches!(self.presence, Presence::Joining) {
            self.join_again(out);
        }
    }

    fn join_again(&mut self, out: &mut Out) {
        let intervals = self.schedules.values().filter_map(|schedule| schedule.interval);
        let longest = intervals.min().map_or(MAX_BACKOFF, |interval| {
            (interval / 4).clamp(FIRST_BACKOFF, MAX_BACKOFF)
        });
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.attempts.min(8));
        self.attempts = self.attempts.saturating_add(1);
        self.join(doubled.min(longest), out);
    }

    /// Leases are granted and watches are open: writes the key as the last step.
    pub(super) fn begin_membership(&mut self, now: Now, session: Session, out: &mut Out) {
        if !matches!(self.presence, Presence::Joining) {
            return;
        }
        let Session {
            incarnation,
            sent,
            snapshot,
        } = session;
        let incarnation = match self.former.last() {
            Some(former) if !self.rules.new_incarnation => *former,
            _ => incarnation,
        };
        self.presence = Presence::Announcing {
            incarnation,
            lease: Lease::new(sent, self.options.lease_ttl),
        };
        self.store_restored(out);
        // Another store may answer now, whose revisions are unrelated to the known ones.
        self.view.begin(snapshot.clone());
        self.clocks.restart();
        self.own = OwnKeyWrite::default();
        self.reading_members = false;
        for schedule in self.schedules.values_mut() {
            schedule.forget_requests();
        }
        self.note_possible_out(now.boot);
        for entry in &snapshot.entries {
            self.on_entry(now, entry, false, out);
        }
        self.settle_plans(snapshot.revision);
        let member = self.member(incarnation);
        self.own.writing = Some(member.clone());
        out.push(Action::Write {
            key: self.own_key(),
            value: Value::Member(member),
            only_if: vec![Condition::Created(self.own_key(), Revision::NONE)],
        });
    }

    /// Returns the value of this agent's key.
    fn member(&self, incarnation: Incarnation) -> Member {
        Member {
            incarnation,
            versions: Versions::CURRENT,
            host: self.options.host.clone(),
            leaving: self.stopping,
            schedules: self
                .registered
                .iter()
                .map(|(schedule, units)| (schedule.clone(), units.keys().copied().collect()))
                .collect(),
            meters: self.meters,
        }
    }

    pub(super) fn member_written(&mut self, now: Now, written: Written, out: &mut Out) {
        let Some(member) = self.own.writing.take() else {
            return;
        };
        match (&self.presence, written) {
            (Presence::Announcing { incarnation, lease }, Written::Done(revision)) => {
                let incarnation = *incarnation;
                self.presence = Presence::Member {
                    incarnation,
                    lease: *lease,
                    since: now.boot,
                    created: revision,
                };
                self.attempts = 0;
                self.duplicate_host = None;
                self.apply_own_key(member, revision, revision);
                out.push(Action::Notice(Notice::Joined(incarnation)));
            }
            (Presence::Announcing { .. }, Written::Rejected(snapshot)) => {
                let holder = snapshot
                    .entries
                    .into_iter()
                    .find_map(|entry| match entry.content {
                        Content::Value(Value::Member(member)) => Some(member.host.to_string()),
                        Content::Invalid(invalid) => Some(invalid.to_string()),
                        _ => None,
                    });
                if let Some(host) = holder
                    && self.duplicate_host.as_ref() != Some(&host)
                {
                    self.duplicate_host = Some(host.clone());
                    out.push(Action::Notice(Notice::DuplicateId { host }));
                }
                self.join_again(out);
            }
            (Presence::Member { created, .. }, Written::Done(revision)) => {
                let created = *created;
                self.apply_own_key(member, created, revision);
            }
            (Presence::Member { .. }, Written::Rejected(_)) => self.lose_membership(out),
            (Presence::None | Presence::Joining | Presence::Left, _) => {}
        }
    }

    fn apply_own_key(&mut self, member: Member, created: Revision, revision: Revision) {
        self.view.apply(Entry {
            key: self.own_key(),
            revision,
            created,
            content: Content::Value(Value::Member(member)),
        });
    }

    pub(super) fn member_write_failed(&mut self, now: Now, out: &mut Out) {
        self.own.writing = None;
        match self.presence {
            // The write may have been executed, under a lease that is revoked now.
            Presence::Announcing { .. } => self.join_again(out),
            Presence::Member { .. } => self.own.retry = Some(now.boot.plus(RETRY)),
            Presence::None | Presence::Joining | Presence::Left => {}
        }
    }

    /// Updates this agent's key if its value has changed.
    pub(super) fn update_own_key(&mut self, now: Now, out: &mut Out) {
        let Presence::Member {
            incarnation, created, ..
        } = &self.presence
        else {
            return;
        };
        let (incarnation, created) = (*incarnation, *created);
        let waits = self.own.retry.is_some_and(|retry| retry > now.boot);
        if self.own.writing.is_some() || waits || !self.store {
            return;
        }
        let member = self.member(incarnation);
        let slot = self.view.member(&self.options.id);
        let is_current = slot.is_some_and(|slot| slot.value.as_ref().is_ok_and(|value| **value == member));
        if is_current {
            return;
        }
        self.own = OwnKeyWrite {
            writing: Some(member.clone()),
            retry: None,
        };
        out.push(Action::Write {
            key: self.own_key(),
            value: Value::Member(member),
            only_if: vec![Condition::Created(self.own_key(), created)],
        });
    }

    /// Returns `false` if this agent is a member and its key is not the one that it created.
    pub(super) fn own_key_exists(&self) -> bool {
        let Presence::Member {
            incarnation, created, ..
        } = &self.presence
        else {
            return true;
        };
        let slot = self.view.member(&self.options.id);
        slot.is_some_and(|slot| slot.created == *created) && self.view.holds(&self.options.id, *incarnation)
    }

    /// Ends the membership of a running agent, and joins again.
    pub(super) fn lose_membership(&mut self, out: &mut Out) {
        let (Some(incarnation), Some(lease)) = (self.incarnation(), self.lease().copied()) else {
            return;
        };
        self.former.push(incarnation);
        if self.former.len() > MAX_FORMER {
            self.former.remove(0);
        }
        self.own = OwnKeyWrite::default();
        self.renewing = false;
        self.unanswered = false;
        let deadline = lease.deadline();
        for schedule in self.schedules.values_mut() {
            for started in schedule
                .cycles
                .values_mut()
                .filter_map(|cycle| cycle.started_mut())
            {
                if started.membership == MembershipState::Valid {
                    started.membership = MembershipState::Lost { deadline };
                }
            }
        }
        if self.options.on_loss == OnLoss::Pause {
            self.resolve_lost_cycles(out);
        }
        out.push(Action::Notice(Notice::LostMembership));
        self.join(Duration::ZERO, out);
    }

    pub(super) fn kept_alive(&mut self, at: BootTime) {
        self.renewing = false;
        self.unanswered = false;
        match &mut self.presence {
            Presence::Announcing { lease, .. } | Presence::Member { lease, .. } => lease.kept_alive(at),
            Presence::None | Presence::Joining | Presence::Left => {}
        }
    }

    pub(super) fn confirm_lease(&mut self, out: &mut Out) {
        if !self.renewing && self.lease().is_some() {
            self.renewing = true;
            out.push(Action::RenewLease);
        }
    }

    pub(super) fn store_lost(&mut self, out: &mut Out) {
        if self.store {
            self.store = false;
            out.push(Action::Notice(Notice::StoreLost));
        }
    }

    pub(super) fn store_restored(&mut self, out: &mut Out) {
        if !self.store {
            self.store = true;
            out.push(Action::Notice(Notice::StoreRestored));
        }
        self.unanswered = false;
    }

    /// Leaves the pool: gives up unfinished work, then revokes the lease.
    pub(super) fn leave(&mut self, out: &mut Out) {
        if let Some(incarnation) = self.incarnation() {
            self.give_up_the_rest();
            self.last_records(incarnation, out);
        }
        self.presence = Presence::Left;
        out.push(Action::Revoke);
    }
}
