//! The known keys in etcd: members, plans and give-ups, each with its revision.

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use nephoscope_model::{ScheduleId, Timestamp};

use super::action::Scope;
use super::event::Snapshot;
use super::ids::{AgentId, Incarnation, Revision, UnitHash};
use super::invalid::{InvalidReason, InvalidRecord};
use super::mark::GiveUps;
use super::member::Member;
use super::plan::Plan;
use super::record::{Content, Entry, Key, Value};

/// The number of ended memberships to remember. A forgotten one counts as ended again after the next read of all members.
const MAX_DEPARTED: usize = 4_096;

/// The known state of etcd. Entries older than the known ones are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct View {
    members: BTreeMap<AgentId, Slot<Member>>,
    plans: BTreeMap<ScheduleId, Slot<Plan>>,
    give_ups: BTreeMap<(ScheduleId, Incarnation), Slot<GiveUps>>,
    departed: Departed,
}

/// Memberships that are known to have ended. An unseen member is not necessarily gone: the known members may be older than
/// the plan that lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Departed {
    all: BTreeSet<Incarnation>,
    /// The oldest first.
    order: VecDeque<Incarnation>,
}

impl Departed {
    fn add(&mut self, incarnation: Incarnation) {
        if !self.all.insert(incarnation) {
            return;
        }
        self.order.push_back(incarnation);
        if self.order.len() > MAX_DEPARTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

/// An existing key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Slot<T> {
    pub(super) created: Revision,
    pub(super) revision: Revision,
    pub(super) value: Result<Arc<T>, InvalidRecord>,
}

impl View {
    /// Applies one entry; returns `false` if it is not newer.
    pub(super) fn apply(&mut self, entry: Entry) -> bool {
        let Entry {
            key,
            revision,
            created,
            content,
        } = entry;
        match key {
            Key::Member(id) => {
                let value = match content {
                    Content::Value(Value::Member(member)) => Some(Ok(Arc::new(member))),
                    other => other.invalid(),
                };
                let before = self.incarnation(&id);
                let new = put(&mut self.members, id.clone(), created, revision, value);
                if let Some(before) = before
                    && !self.holds(&id, before)
                {
                    self.departed.add(before);
                }
                new
            }
            Key::Plan(schedule) => {
                let value = match content {
                    Content::Value(Value::Plan(plan)) => Some(Ok(Arc::new(plan))),
                    other => other.invalid(),
                };
                put(&mut self.plans, schedule, created, revision, value)
            }
            Key::GiveUps(schedule, of) => {
                let value = match content {
                    Content::Value(Value::GiveUps(give_ups)) => Some(Ok(Arc::new(give_ups))),
                    other => other.invalid(),
                };
                put(&mut self.give_ups, (schedule, of), created, revision, value)
            }
            // Marks are read when they are needed, and not stored.
            Key::Marks(..) => false,
        }
    }

    /// Replaces all members, plans and give-ups by a snapshot.
    pub(super) fn replace(&mut self, snapshot: Snapshot) {
        self.replace_members(snapshot.revision, &snapshot.entries);
        let newer = |revision: Revision| revision > snapshot.revision;
        self.plans.retain(|_, slot| newer(slot.revision));
        self.give_ups.retain(|_, slot| newer(slot.revision));
        for entry in snapshot.entries {
            self.apply(entry);
        }
    }

    /// Replaces everything by a snapshot of a possibly different store with its own revisions.
    pub(super) fn begin(&mut self, snapshot: Snapshot) {
        let known: Vec<_> = self
            .members()
            .map(|(id, member)| (id.clone(), member.incarnation))
            .collect();
        *self = Self {
            departed: std::mem::take(&mut self.departed),
            ..Self::default()
        };
        self.replace(snapshot);
        for (id, incarnation) in known {
            if !self.holds(&id, incarnation) {
                self.departed.add(incarnation);
            }
        }
    }

    /// Removes members that are older than `revision` and missing in these entries.
    fn replace_members(&mut self, revision: Revision, entries: &[Entry]) {
        let exists = |id: &AgentId| {
            entries
                .iter()
                .any(|entry| matches!(&entry.key, Key::Member(of) if of == id))
        };
        let gone: Vec<_> = self
            .members
            .iter()
            .filter(|(id, slot)| slot.revision <= revision && !exists(id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            let incarnation = self.incarnation(&id);
            self.members.remove(&id);
            if let Some(incarnation) = incarnation {
                self.departed.add(incarnation);
            }
        }
    }

    /// Records that all members were read at `revision`: members of a plan that is not newer, and that were not read, are
    /// gone.
    pub(super) fn settle(&mut self, plan: &Plan) {
        for member in plan.members.iter() {
            if !self.holds(&member.id, member.incarnation) {
                self.departed.add(member.incarnation);
            }
        }
    }

    /// Returns whether a membership is known to have ended.
    pub(super) fn is_gone(&self, id: &AgentId, incarnation: Incarnation) -> bool {
        !self.holds(id, incarnation) && self.departed.all.contains(&incarnation)
    }

    fn incarnation(&self, id: &AgentId) -> Option<Incarnation> {
        let value = &self.members.get(id)?.value;
        value.as_ref().ok().map(|member| member.incarnation)
    }

    /// Replaces the keys of a scope by a snapshot.
    pub(super) fn replace_scope(&mut self, scope: &Scope, snapshot: Snapshot) {
        match scope {
            Scope::Members => self.replace_members(snapshot.revision, &snapshot.entries),
            Scope::Plan(schedule) => {
                if let Place::Occupied(slot) = self.plans.entry(schedule.clone())
                    && slot.get().revision <= snapshot.revision
                {
                    slot.remove();
                }
            }
            Scope::Marks(_) => {}
        }
        for entry in snapshot.entries {
            self.apply(entry);
        }
    }

    /// Returns the members with valid values.
    pub(super) fn members(&self) -> impl Iterator<Item = (&AgentId, &Arc<Member>)> {
        self.members
            .iter()
            .filter_map(|(id, slot)| Some((id, slot.value.as_ref().ok()?)))
    }

    /// Returns the entry of a member.
    pub(super) fn member(&self, id: &AgentId) -> Option<&Slot<Member>> {
        self.members.get(id)
    }

    /// Returns whether a member's key has this incarnation.
    pub(super) fn holds(&self, id: &AgentId, incarnation: Incarnation) -> bool {
        let slot = self.members.get(id);
        slot.is_some_and(|slot| {
            slot.value
                .as_ref()
                .is_ok_and(|member| member.incarnation == incarnation)
        })
    }

    /// Returns whether this member's key is the oldest.
    pub(super) fn oldest(&self, id: &AgentId) -> bool {
        let oldest = self.members.iter().min_by_key(|(_, slot)| slot.created);
        oldest.is_some_and(|(oldest, _)| oldest == id)
    }

    /// Returns the number of members.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the entry of a schedule's plan.
    pub(super) fn plan(&self, schedule: &ScheduleId) -> Option<&Slot<Plan>> {
        self.plans.get(schedule)
    }

    /// Returns whether a membership gave up a unit in a cycle.
    pub(super) fn gave_up(
        &self,
        schedule: &ScheduleId,
        of: Incarnation,
        start: Timestamp,
        unit: UnitHash,
    ) -> bool {
        let slot = self.give_ups.get(&(schedule.clone(), of));
        slot.and_then(|slot| slot.value.as_ref().ok())
            .and_then(|give_ups| give_ups.cycles.get(&start))
            .is_some_and(|units| units.contains(&unit))
    }

    /// Returns the invalid keys.
    pub(super) fn invalid(&self) -> impl Iterator<Item = &InvalidRecord> {
        let members = self.members.values().filter_map(|slot| slot.value.as_ref().err());
        let plans = self.plans.values().filter_map(|slot| slot.value.as_ref().err());
        let give_ups = self
            .give_ups
            .values()
            .filter_map(|slot| slot.value.as_ref().err());
        members.chain(plans).chain(give_ups)
    }
}

impl Content {
    /// Returns the error of an invalid value; `None` if the key was deleted.
    fn invalid<T>(self) -> Option<Result<T, InvalidRecord>> {
        match self {
            Self::Deleted => None,
            Self::Invalid(invalid) => Some(Err(invalid)),
            // Only a driver that confuses keys does this.
            Self::Value(_) => Some(Err(InvalidRecord {
                key: String::new(),
                reason: InvalidReason::Key,
            })),
        }
    }
}

fn put<K: Ord, T>(
    slots: &mut BTreeMap<K, Slot<T>>,
    key: K,
    created: Revision,
    revision: Revision,
    value: Option<Result<Arc<T>, InvalidRecord>>,
) -> bool {
    let place = slots.entry(key);
    if let Place::Occupied(slot) = &place
        && slot.get().revision >= revision
    {
        return false;
    }
    match (value, place) {
        (Some(value), place) => {
            place.insert_entry(Slot {
                created,
                revision,
                value,
            });
            true
        }
        (None, Place::Occupied(slot)) => {
            slot.remove();
            true
        }
        (None, Place::Vacant(_)) => false,
    }
}
