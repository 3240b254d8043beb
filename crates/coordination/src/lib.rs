//! What the engine asks of a pool of agents: who polls what.
//!
//! The engine asks one [`Coordinator`] before each cycle which part of the work is this agent's, and tells
//! it afterwards what is finished. Host groups never ask: a host's own resources have one member by
//! definition.
//!
//! Here are the trait, its types, and [`Local`], the pool of one. A backend that divides work is a crate of its own.

mod boot;
mod coordinator;
mod local;
mod unit;

pub use boot::BootTime;
pub use coordinator::{
    Agreed, Carried, Coordinator, InProgress, LONGEST_ANSWER, NoPlan, Plan, Share, Work, WorkId,
};
pub use local::Local;
pub use unit::{Group, Unit};
