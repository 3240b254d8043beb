//! A model of etcd: keys with revisions, transactions, and leases.

use std::collections::BTreeMap;

use nephoscope_model::ScheduleId;

use crate::protocol::{
    AgentId, Condition, Content, Entry, Incarnation, Key, Revision, Scope, Snapshot, Value, Written,
};

/// A lease.
pub(super) type LeaseNumber = u32;

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Etcd {
    pub(super) up: bool,
    revision: i64,
    keys: BTreeMap<Key, Stored>,
    /// The expiry time of each lease.
    pub(super) leases: BTreeMap<LeaseNumber, u64>,
    next_lease: LeaseNumber,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stored {
    created: Revision,
    revision: Revision,
    value: Value,
    /// `None` for records, whose lease outlasts the modelled time.
    lease: Option<LeaseNumber>,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            up: true,
            revision: 1,
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            next_lease: 1,
        }
    }
}

impl Etcd {
    pub(super) fn grant(&mut self, until: u64) -> LeaseNumber {
        let lease = self.next_lease;
        self.next_lease += 1;
        self.leases.insert(lease, until);
        lease
    }

    /// Ends a lease; returns the changes for watches.
    pub(super) fn revoke(&mut self, lease: LeaseNumber) -> Vec<Entry> {
        if self.leases.remove(&lease).is_none() {
            return Vec::new();
        }
        let keys: Vec<_> = self
            .keys
            .iter()
            .filter(|(_, stored)| stored.lease == Some(lease))
            .map(|(key, _)| key.clone())
            .collect();
        if keys.is_empty() {
            return Vec::new();
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        keys.into_iter()
            .map(|key| {
                self.keys.remove(&key);
                Entry {
                    key,
                    revision,
                    created: Revision::NONE,
                    content: Content::Deleted,
                }
            })
            .collect()
    }

    /// Executes a transaction. Returns `None` if the lease of the key does not exist.
    pub(super) fn write(
        &mut self,
        key: Key,
        value: Value,
        only_if: &[Condition],
        lease: Option<LeaseNumber>,
    ) -> Option<(Written, Option<Entry>)> {
        let holds = |condition: &Condition| match condition {
            Condition::Unchanged(key, revision) => {
                self.keys
                    .get(key)
                    .map_or(Revision::NONE, |stored| stored.revision)
                    == *revision
            }
            Condition::Created(key, created) => {
                self.keys.get(key).map_or(Revision::NONE, |stored| stored.created) == *created
            }
        };
        if !only_if.iter().all(holds) {
            let entries = self.entry(&key).into_iter().collect();
            return Some((Written::Rejected(self.snapshot_of(entries)), None));
        }
        if lease.is_some_and(|lease| !self.leases.contains_key(&lease)) {
            return None;
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        let created = self.keys.get(&key).map_or(revision, |stored| stored.created);
        self.keys.insert(
            key.clone(),
            Stored {
                created,
                revision,
                value,
                lease,
            },
        );
        let entry = self.entry(&key);
        Some((Written::Done(revision), entry))
    }

    /// Returns all keys that agents watch.
    pub(super) fn watched(&self) -> Snapshot {
        let keys = self.keys.keys();
        let watched = keys.filter(|key| !matches!(key, Key::Marks(..)));
        self.snapshot_of(watched.filter_map(|key| self.entry(key)).collect())
    }

    pub(super) fn read(&self, scope: &Scope) -> Snapshot {
        let matches = |key: &&Key| match (scope, key) {
            (Scope::Members, Key::Member(_)) => true,
            (Scope::Plan(schedule), Key::Plan(of)) | (Scope::Marks(schedule), Key::Marks(of, _)) => {
                schedule == of
            }
            _ => false,
        };
        let keys = self.keys.keys().filter(matches);
        self.snapshot_of(keys.filter_map(|key| self.entry(key)).collect())
    }

    /// Loses everything, as if etcd was started in an empty directory.
    pub(super) fn wipe(&mut self) {
        *self = Self {
            next_lease: self.next_lease,
            ..Self::default()
        };
    }

    pub(super) fn plan(&self, schedule: &ScheduleId) -> Option<&crate::protocol::Plan> {
        match self.keys.get(&Key::Plan(schedule.clone()))?.value {
            Value::Plan(ref plan) => Some(plan),
            _ => None,
        }
    }

    /// Returns whether a membership exists.
    pub(super) fn holds(&self, id: &AgentId, incarnation: Incarnation) -> bool {
        self.incarnation(id) == Some(incarnation)
    }

    /// Returns the membership under an id.
    pub(super) fn incarnation(&self, id: &AgentId) -> Option<Incarnation> {
        match &self.keys.get(&Key::Member(id.clone()))?.value {
            Value::Member(member) => Some(member.incarnation),
            _ => None,
        }
    }

    pub(super) fn gave_up(
        &self,
        schedule: &ScheduleId,
        of: Incarnation,
        start: nephoscope_model::Timestamp,
        unit: crate::protocol::UnitHash,
    ) -> bool {
        match self
            .keys
            .get(&Key::GiveUps(schedule.clone(), of))
            .map(|stored| &stored.value)
        {
            Some(Value::GiveUps(give_ups)) => give_ups
                .cycles
                .get(&start)
                .is_some_and(|units| units.contains(&unit)),
            _ => false,
        }
    }

    fn entry(&self, key: &Key) -> Option<Entry> {
        let stored = self.keys.get(key)?;
        Some(Entry {
            key: key.clone(),
            revision: stored.revision,
            created: stored.created,
            content: Content::Value(stored.value.clone()),
        })
    }

    fn snapshot_of(&self, entries: Vec<Entry>) -> Snapshot {
        Snapshot {
            revision: Revision(self.revision),
            entries,
        }
    }
}
