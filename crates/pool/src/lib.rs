//! The coordination backend `etcd`: agents that share an etcd divide work by the pool's protocol.
//!
//! The machine ([`crate::protocol`]) makes all decisions. The rest of this crate does its I/O: the engine calls [`Pool`],
//! which queries the machine under a lock that is never held across an await; one task, the driver, executes the machine's
//! requests in etcd; another task, the session, maintains the leases and watches of one membership.
//!
//! No connection is opened while the agent has no shared unit.

mod backend;
mod clock;
mod divided;
mod division_plan;
mod driver;
pub mod etcd;
mod events;
mod options;
mod outside;
pub mod protocol;
mod reading;
mod session;
mod shared;
mod status;
mod stored_membership;
mod view;

pub use backend::Pool;
pub use clock::WallClock;
pub use divided::{DividedUnit, KeyOwner, MemberShare, Successor};
pub use options::{DEFAULT_QUOTA, PoolOptions};
pub use shared::MAX_QUEUED_WORK;
pub use status::{Counts, DuplicateId, EtcdFailure, MemberView, PoolStatus};
pub use stored_membership::{StoredMembership, StoredMembershipError};
pub use view::{PoolView, SeenMember};
