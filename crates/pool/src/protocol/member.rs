//! A member of the pool: the value that an agent writes under its presence lease.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nephoscope_model::ScheduleId;

use super::ids::{Incarnation, UnitHash};

/// The units of one schedule that a member has.
pub type UnitSet = BTreeSet<UnitHash>;

/// The value of `members/<agent.id>`. The key exists as long as the presence lease. An agent is a member if its key exists
/// and is not marked as leaving.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The incarnation of this membership.
    pub incarnation: Incarnation,
    /// The versions that it supports.
    pub versions: Versions,
    /// Its host, for people.
    pub host: Arc<str>,
    /// Whether it is stopping and must not be listed in further plans.
    pub leaving: bool,
    /// Its units by schedule. Schedules without units are omitted.
    pub schedules: BTreeMap<ScheduleId, UnitSet>,
    /// A digest of its configured meters; members with different digests have different configurations.
    pub meters: u64,
}

/// The highest versions that a member supports, or the versions in which a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versions {
    /// The version of keys, values and rules.
    pub protocol: u32,
    /// The version of the ranking ([`super::ranking`]).
    pub hash: u32,
}

impl Versions {
    /// The versions of this program.
    pub const CURRENT: Self = Self { protocol: 1, hash: 1 };

    /// Returns whether this program can follow a plan in these versions.
    pub fn known(self) -> bool {
        self == Self::CURRENT
    }

    /// Returns the lower value of each version.
    #[must_use]
    pub fn lowest(self, other: Self) -> Self {
        Self {
            protocol: self.protocol.min(other.protocol),
            hash: self.hash.min(other.hash),
        }
    }
}
