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
mod driver;
pub mod etcd;
mod events;
mod memory;
mod options;
mod outside;
mod part;
pub mod protocol;
mod reading;
mod session;
mod shared;
mod status;
mod view;

pub use backend::Pool;
pub use clock::WallClock;
pub use divided::{DividedUnit, KeyOwner, MemberShare, StandIn};
pub use memory::{FormerMember, MemoryError};
pub use options::{DEFAULT_QUOTA, PoolOptions};
pub use shared::MAX_WAITING_WORK;
pub use status::{Counts, Holder, MemberView, PoolStatus, Trouble};
pub use view::{PoolView, SeenMember};
