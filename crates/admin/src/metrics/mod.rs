//! What the agent says of itself to Prometheus: names, help and where each value comes from.
//!
//! Nothing is counted here. A scrape takes a [`Snapshot`] of what the engine and the notifier have counted, and the
//! tables of [`families`] say what is shown of it; the reference is made of the same tables.

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
pub use family::{BaseUnit, Family, Kind};
pub(crate) use format::Format;
pub(crate) use process::ProcessUsage;
pub(crate) use snapshot::Snapshot;
