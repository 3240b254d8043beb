//! The commands that run once and exit.
//!
//! `run` is not among them: it is the agent itself (`run.rs`).

mod check;
mod completions;
mod discover;
mod man;
mod once;
mod partition;
mod plugins;
mod schema;
mod spool;

pub(crate) use check::check;
pub(crate) use completions::completions;
pub(crate) use discover::discover;
pub(crate) use man::man;
pub(crate) use once::once;
pub(crate) use partition::{PartitionError, partition};
pub(crate) use plugins::plugins;
pub(crate) use schema::schema;
pub(crate) use spool::spool;
