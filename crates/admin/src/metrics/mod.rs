//! The metrics of the agent.
//!
//! This module counts nothing. A scrape takes a [`Snapshot`] of the counts of the engine, the notifier and the pool, and the tables
//! of [`families`] define the output. The reference documentation is generated from the same tables.

mod collector;
mod families;
mod family;
mod format;
mod process;
mod snapshot;

pub(crate) use collector::Metrics;
#[cfg(test)]
pub(crate) use collector::tests::spool as example_spool;
pub use families::families;
pub(crate) use families::state_word;
pub(crate) use family::Series;
pub use family::{BaseUnit, Family, Kind, Stability};
pub(crate) use format::Format;
pub(crate) use process::ProcessUsage;
pub(crate) use snapshot::Snapshot;
