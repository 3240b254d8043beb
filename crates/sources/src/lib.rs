//! Sources, checked and ready: which meters, how often, of which resources.
//!
//! A [`Source`] is what a reader of configuration files makes and the engine takes. Both depend on this crate, and
//! neither depends on the other. There is no I/O here, except that a [`Schedule`] looks its time zone up on this machine.

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
