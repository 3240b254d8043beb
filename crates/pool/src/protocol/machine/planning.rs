//! Writing and reading of plans.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::BootTime;
use nephoscope_model::{ScheduleId, Timestamp};

use super::super::action::{Action, Condition, Scope};
use super::super::cycle::{Cycle, Stage};
use super::super::event::{Now, Written};
use super::super::hash::hash_fields;
use super::super::ids::{AgentId, Revision};
use super::super::invalid::InvalidReason;
use super::super::member::Versions;
use super::super::notice::Notice;
use super::super::plan::{Plan, PlanMember};
use super::super::ranking::{KeyHash, MemberHash, ranked};
use super::super::record::{Content, Entry, Key, Value};
use super::super::{JOIN_SETTLE, MAX_LEAD, WRITER_STEP, lead};
use super::presence::Presence;
use super::{Machine, Out};

/// The pause after a failed write of a plan.
const RETRY: Duration = Duration::from_millis(250);

/// How long after the edge a plan may still be written: it reaches the members within the rest of their timeout.
const LATEST: Duration = Duration::from_millis(500);

impl Machine {
    /// Writes the plans whose turn it is, by the ranking of their writers.
    pub(super) fn write_plans(&mut self, now: Now, out: &mut Out) {
        let mut due = Vec::new();
        let mut turns = Vec::new();
        for (name, schedule) in &self.schedules {
            for (start, cycle) in &schedule.cycles {
                let turn = self.turn(name, *start, cycle);
                if turn.is_some_and(|(from, until)| (from..until).contains(&now.boot)) {
                    due.push((name.clone(), *start));
                }
                turns.push((name.clone(), *start, turn.map(|(from, _)| from)));
            }
        }
        for (name, start, from) in turns {
            if let Some(cycle) = self.cycle_mut(&name, start) {
                cycle.write_from = from;
            }
        }
        for (name, start) in due {
            self.write_plan(now, &name, start, out);
        }
    }

    /// Returns the time range in which this agent writes the plan of a cycle.
    fn turn(&self, name: &ScheduleId, start: Timestamp, cycle: &Cycle) -> Option<(BootTime, BootTime)> {
        let Presence::Member { since, .. } = &self.presence else {
            return None;
        };
        let waits = matches!(cycle.stage, Stage::Pending | Stage::Idle);
        if !waits || self.stopping || !self.registered.contains_key(name) {
            return None;
        }
        let slot = self.view.plan(name);
        let planned = slot.and_then(|slot| slot.value.as_ref().ok());
        if self.rules.monotonic_plans && planned.is_some_and(|plan| plan.start >= start) {
            return None;
        }
        if !self.rules.monotonic_plans && cycle.written {
            return None;
        }
        let until = match slot {
            Some(_) => cycle.edge.edge.plus(LATEST),
            // The first plan of a schedule may be for the cycle in progress, if enough of it is left.
            None => cycle.edge.edge.plus((cycle.edge.interval / 2).max(LATEST)),
        };
        let rank = u32::try_from(self.rank(name, start)?).ok()?;
        let from = cycle.edge.edge.minus(lead(cycle.edge.interval));
        let settled = since.plus(JOIN_SETTLE);
        let mut from = from.max(settled).plus(WRITER_STEP.saturating_mul(rank));
        if let Some(not_before) = cycle.not_before {
            from = from.max(not_before);
        }
        let agrees = self.clocks.skew(self.clock_limit(name)).is_none();
        let may_begin = self.view.oldest(&self.options.id) || (agrees && self.clocks.verified());
        if !may_begin {
            return None;
        }
        // The oldest member writes regardless of its clock; otherwise a pool whose plans came late once would have no plans
        // any more. If its clock seems wrong, it writes only plans that no other member has written by the edge.
        if !agrees {
            from = from.max(cycle.edge.edge);
        }
        (from < until).then_some((from, until))
    }

    /// Returns this agent's rank among the possible writers of a cycle's plan.
    fn rank(&self, schedule: &ScheduleId, start: Timestamp) -> Option<usize> {
        let listed: Vec<&AgentId> = self.listed(schedule).map(|(id, _)| id).collect();
        let hashes: Vec<_> = listed.iter().map(|id| MemberHash::of(id)).collect();
        let start = start.as_millis().to_string();
        let key = KeyHash::of_bits(hash_fields(&[schedule.as_str(), &start]));
        let order = ranked(&hashes, key);
        order
            .into_iter()
            .position(|place| listed.get(place).is_some_and(|id| **id == self.options.id))
    }

    /// Returns the members that a plan of this schedule lists.
    fn listed(
        &self,
        schedule: &ScheduleId,
    ) -> impl Iterator<Item = (&AgentId, &Arc<super::super::member::Member>)> {
        self.view.members().filter(move |(_, member)| {
            !member.leaving
                && member
                    .schedules
                    .get(schedule)
                    .is_some_and(|units| !units.is_empty())
        })
    }

    fn write_plan(&mut self, now: Now, name: &ScheduleId, start: Timestamp, out: &mut Out) {
        if !self.store || !self.holds_lease(now.boot) || self.unknown_versions(name) {
            return;
        }
        let Presence::Member { created, .. } = &self.presence else {
            return;
        };
        let created = *created;
        let Some(schedule) = self.schedules.get(name) else {
            return;
        };
        if schedule.writing.is_some() {
            return;
        }
        let mut versions = Versions::CURRENT;
        let mut members = Vec::new();
        // Members with the same configuration share a set.
        let mut sets: Vec<Arc<super::super::member::UnitSet>> = Vec::new();
        for (id, member) in self.listed(name) {
            versions = versions.lowest(member.versions);
            let Some(units) = member.schedules.get(name) else {
                continue;
            };
            let known = sets.iter().find(|set| ***set == *units).cloned();
            let units = known.unwrap_or_else(|| {
                let set = Arc::new(units.clone());
                sets.push(set.clone());
                set
            });
            members.push(PlanMember {
                id: id.clone(),
                incarnation: member.incarnation,
                units,
            });
        }
        if !versions.known() {
            return;
        }
        let plan = Plan {
            start,
            written: Timestamp::from_millis(now.wall.as_millis()),
            writer: self.options.id.clone(),
            versions,
            members: members.into(),
        };
        let expected = self.view.plan(name).map_or(Revision::NONE, |slot| slot.revision);
        let key = Key::Plan(name.clone());
        let mut only_if = Vec::new();
        if self.rules.monotonic_plans {
            only_if.push(Condition::Unchanged(key.clone(), expected));
        }
        if self.rules.writer_key {
            only_if.push(Condition::Created(self.own_key(), created));
        }
        if let Some(schedule) = self.schedules.get_mut(name) {
            schedule.writing = Some((Arc::new(plan.clone()), expected));
        }
        if let Some(cycle) = self.cycle_mut(name, start) {
            cycle.written = true;
        }
        out.push(Action::Write {
            key,
            value: Value::Plan(plan),
            only_if,
        });
    }

    pub(super) fn plan_written(&mut self, now: Now, name: &ScheduleId, written: Written, out: &mut Out) {
        let pending = self
            .schedules
            .get_mut(name)
            .and_then(|schedule| schedule.writing.take());
        let Some((plan, expected)) = pending else {
            return;
        };
        match written {
            Written::Done(revision) => {
                let created = match self.view.plan(name) {
                    Some(slot) if expected != Revision::NONE => slot.created,
                    _ => revision,
                };
                self.clocks.wrote();
                let entry = Entry {
                    key: Key::Plan(name.clone()),
                    revision,
                    created,
                    content: Content::Value(Value::Plan((*plan).clone())),
                };
                self.apply_change(now, entry, false, out);
            }
            Written::Rejected(snapshot) => {
                if let Some(cycle) = self.cycle_mut(name, plan.start) {
                    cycle.not_before = Some(now.boot.plus(RETRY));
                }
                let current = snapshot
                    .entries
                    .iter()
                    .find(|entry| matches!(&entry.key, Key::Plan(schedule) if schedule == name))
                    .map_or(Revision::NONE, |entry| entry.revision);
                let entries = snapshot.entries.clone();
                self.view.replace_scope(&Scope::Plan(name.clone()), snapshot);
                for entry in entries {
                    self.on_entry(now, &entry, false, out);
                }
                if current == expected {
                    // The other condition failed: this agent's own key does not exist.
                    self.lose_membership(out);
                }
            }
        }
    }

    pub(super) fn plan_write_failed(&mut self, now: Now, name: &ScheduleId) {
        let Some(schedule) = self.schedules.get_mut(name) else {
            return;
        };
        if let Some((plan, _)) = schedule.writing.take()
            && let Some(cycle) = schedule.cycles.get_mut(&plan.start)
        {
            cycle.not_before = Some(now.boot.plus(RETRY));
        }
    }

    /// Handles the consequences of a plan that is in the view.
    pub(super) fn on_plan(&mut self, now: Now, name: &ScheduleId, fresh: bool, out: &mut Out) {
        let Some(slot) = self.view.plan(name) else {
            return;
        };
        match &slot.value {
            Ok(plan) => {
                let plan = plan.clone();
                let recreated = slot.created == slot.revision;
                let me = self.place_in(&plan).number();
                let limit = self.clock_limit(name);
                if fresh && plan.writer != self.options.id {
                    self.clocks.arrived(now.wall, plan.written, limit);
                }
                let schedule = self.schedules.entry(name.clone()).or_default();
                if schedule.store_plan(plan, me, recreated) {
                    schedule.missed = None;
                }
            }
            Err(invalid) => {
                if let InvalidReason::Versions(versions) = invalid.reason {
                    let schedule = name.clone();
                    out.push(Action::Notice(Notice::UnknownVersions { schedule, versions }));
                }
            }
        }
    }

    /// Reads plans that are missing at their edge.
    pub(super) fn read_missing_plans(&mut self, now: Now, out: &mut Out) {
        if !self.store || self.incarnation().is_none() {
            return;
        }
        for (name, schedule) in &mut self.schedules {
            if schedule.reading || !self.registered.contains_key(name) {
                continue;
            }
            let known = schedule.plans.back().map(|known| known.plan.start);
            let missing = schedule.cycles.iter_mut().find(|(start, cycle)| {
                cycle.stage == Stage::Pending
                    && !cycle.read
                    && now.boot >= cycle.edge.edge
                    && known.is_none_or(|known| known < **start)
            });
            if let Some((_, cycle)) = missing {
                cycle.read = true;
                schedule.reading = true;
                out.push(Action::Read(Scope::Plan(name.clone())));
            }
        }
    }

    /// Returns the allowed difference of clocks for the interval of a schedule.
    pub(super) fn clock_limit(&self, name: &ScheduleId) -> Duration {
        let interval = self.schedules.get(name).and_then(|schedule| schedule.interval);
        interval.map_or(MAX_LEAD, lead)
    }
}
