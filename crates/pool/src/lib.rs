//! The backend `etcd`: agents that share an etcd divide work by the protocol of the pool.
//!
//! All decisions are the machine's ([`crate::protocol`]). What is here does its input and output: [`Pool`] is asked by the engine
//! and asks the machine, under a lock that is never held across a wait; one task, the driver, does what the machine wants done in etcd;
//! another one, the session, holds the leases and the watches of one membership.
//!
//! Nothing is opened as long as the agent carries no shared unit.

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
