//! Validated sources: which meters are collected, how often, and from which resources.
//!
//! The configuration loader creates a [`Source`], and the engine consumes it. Both depend on this crate and not on each
//! other. There is no I/O here, except that a [`Schedule`] looks up its time zone on this machine.

mod discovery;
mod filter;
mod position;
mod resource;
mod schedule;
mod source;

pub use discovery::DiscoveryUrl;
pub use filter::{MeterFilter, MeterFilterError, Pattern};
pub use position::Position;
pub use resource::StaticResource;
pub use schedule::{MAX_INTERVAL, Schedule, ScheduleError};
pub use source::Source;
