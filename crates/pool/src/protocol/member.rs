//! A member of the pool: what an agent says of itself under its presence lease.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nephoscope_model::ScheduleId;

use super::ids::{Incarnation, UnitHash};

/// The units of one schedule that a member carries.
pub type UnitSet = BTreeSet<UnitHash>;

/// The value of `members/<agent.id>`. The key stands as long as the presence lease: whose key is present and not leaving
/// is a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// This membership.
    pub incarnation: Incarnation,
    /// The versions that it speaks.
    pub versions: Versions,
    /// Its host, for people.
    pub host: Arc<str>,
    /// It stops, and wants to be in no further plan.
    pub leaving: bool,
    /// What it carries, by schedule. Schedules of which it carries nothing are left out.
    pub schedules: BTreeMap<ScheduleId, UnitSet>,
    /// A digest of the meters that it wants; members whose digests differ have configurations that differ.
    pub meters: u64,
}

/// The highest versions that a member speaks, or the ones that a plan is made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versions {
    /// Of keys, values and rules.
    pub protocol: u32,
    /// Of the ranking ([`super::ranking`]).
    pub hash: u32,
}

impl Versions {
    /// What this program speaks.
    pub const OURS: Self = Self { protocol: 1, hash: 1 };

    /// Whether this program can follow a plan that is made in these versions.
    pub fn known(self) -> bool {
        self == Self::OURS
    }

    /// The lower of both, each.
    #[must_use]
    pub fn lowest(self, other: Self) -> Self {
        Self {
            protocol: self.protocol.min(other.protocol),
            hash: self.hash.min(other.hash),
        }
    }
}
