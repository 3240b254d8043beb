//! Whether an agent is a member, and the writes of its key.

use nephoscope_coordination::BootTime;

use super::super::ids::{Incarnation, Revision};
use super::super::lease::Lease;
use super::super::member::Member;

/// Whether an agent is a member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Presence {
    /// It needs not be.
    None,
    /// It has asked for leases and watches.
    Joining,
    /// It has them, and puts its key.
    Announcing { incarnation: Incarnation, lease: Lease },
    /// Its key stands.
    Member {
        incarnation: Incarnation,
        lease: Lease,
        /// Since when.
        since: BootTime,
        /// The revision in which the key came into being.
        created: Revision,
    },
    /// It left, for good.
    Left,
}

/// Writes of this agent's own key, after it was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Own {
    /// What is being written.
    pub(super) writing: Option<Member>,
    /// A write failed: not before this it is done again.
    pub(super) retry: Option<BootTime>,
}
