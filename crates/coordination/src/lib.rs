//! Members, plans and ownership: who polls what.
//!
//! The engine asks one [`Coordinator`] before each cycle which part of the work is this agent's, and tells
//! it afterwards what is finished. Host groups never ask: a host's own resources have one member by
//! definition.

mod boot;
mod coordinator;
pub mod etcd;
mod local;
pub mod pool;
pub mod protocol;
mod unit;

pub use boot::BootTime;
pub use coordinator::{Agreed, Carried, Coordinator, InProgress, NoPlan, Plan, Share, Work, WorkId};
pub use local::Local;
pub use unit::{Group, Unit};
