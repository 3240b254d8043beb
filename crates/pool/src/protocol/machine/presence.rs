//! The presence of an agent, and the updates of its key.

use nephoscope_coordination::BootTime;

use super::super::ids::{Incarnation, Revision};
use super::super::lease::Lease;
use super::super::member::Member;

/// Whether an agent is a member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Presence {
    /// It has no shared units.
    None,
    /// It has requested leases and watches.
    Joining,
    /// It has leases and watches, and writes its key.
    Announcing { incarnation: Incarnation, lease: Lease },
    /// Its key is written.
    Member {
        incarnation: Incarnation,
        lease: Lease,
        /// The start of the membership.
        since: BootTime,
        /// The revision of the key's creation.
        created: Revision,
    },
    /// It left permanently.
    Left,
}

/// Updates of this agent's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct OwnKeyWrite {
    /// The value that is being written.
    pub(super) writing: Option<Member>,
    /// The earliest retry after a failed write.
    pub(super) retry: Option<BootTime>,
}
