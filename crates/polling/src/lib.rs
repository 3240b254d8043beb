//! Sources, tasks, schedule, cycles: the engine.
//!
//! A sample's way through this crate: the [`scheduler`] starts a cycle of a [`task`] on its edge; the [`cycle`]
//! asks the coordinator for the plan, opens the [`listing`]s and starts the runs; a [`run`] feeds a pollster
//! with pages and hands batches to the notifier, past the [`fence`] if agents share the resources; the [`ledger`] tells the
//! coordinator which shared units are done; the [`record`] says what became of it all.
//!
//! Two things that agents do together do not fit into edges. What others left undone in a cycle is polled beside the cycles of
//! this agent (`engine/beside.rs`). And a reload takes effect for what is shared with the first plan that knows of it; until
//! then the older of the [`generations`] of a task goes on.
//!
//! The engine knows plugins by trait only, and never touches a file but the small one in [`progress`].

pub mod alarm;
pub mod classes;
pub mod clock;
pub mod context;
pub mod cost;
pub mod cycle;
pub mod engine;
mod events;
pub mod fence;
pub mod generations;
pub mod keyhash;
pub mod ledger;
pub mod limits;
pub mod listing;
mod margin;
mod names;
mod options;
mod pages;
pub mod plugins;
pub mod progress;
pub mod record;
pub mod run;
pub mod scheduler;
pub mod setaside;
mod slot;
pub mod splay;
pub mod stats;
pub mod task;
pub mod ticker;
