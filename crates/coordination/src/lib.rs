//! The interface between the engine and a pool of agents.
//!
//! Before each cycle the engine requests its share of the work from one [`Coordinator`], and reports afterwards what is
//! finished. Host groups need no coordinator: a host's own resources have one member by definition.
//!
//! This crate contains the trait, its types, and [`Local`], the pool of one agent. A backend that divides work is a
//! separate crate.

mod boot;
mod coordinator;
mod local;
mod unit;

pub use boot::BootTime;
pub use coordinator::{
    Assignment, Coordinator, InProgress, MAX_ANSWER_TIME, NoPlan, Plan, Registration, Share, Work, WorkId,
};
pub use local::Local;
pub use unit::Unit;
