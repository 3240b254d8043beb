//! Sources, tasks, schedule, cycles: the engine.
//!
//! A sample's way through this crate: the [`scheduler`] starts a cycle of a [`task`] on its edge; the [`cycle`]
//! asks the coordinator for the plan, opens the [`listing`]s and starts the runs; a [`run`] feeds a pollster
//! with pages and hands batches to the notifier; the [`record`] says what became of it all.
//!
//! The engine knows plugins by trait only, and never touches a file but the small one in [`progress`].

pub mod clock;
pub mod cycle;
pub mod engine;
mod events;
pub mod fence;
pub mod filter;
pub mod generations;
pub mod keyhash;
pub mod ledger;
pub mod limits;
pub mod listing;
pub mod plugins;
pub mod progress;
pub mod record;
pub mod run;
pub mod schedule;
pub mod scheduler;
pub mod setaside;
mod slot;
pub mod source;
pub mod splay;
pub mod stats;
pub mod task;
pub mod ticker;
