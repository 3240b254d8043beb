//! Sources, tasks, schedule, cycles: the engine.

pub mod clock;
pub mod filter;
pub mod schedule;
pub mod source;
pub mod ticker;
