//! The engine: sources, tasks, schedules and cycles.
//!
//! The path of a sample through this crate: the [`scheduler`] starts a cycle of a [`task`] on its edge. The [`cycle`] requests
//! the plan from the coordinator, opens the [`listing`]s and starts the runs. A [`run`] feeds a pollster with pages and submits
//! batches to the notifier, through the [`fence`] if agents share the resources. The [`ledger`] reports to the coordinator which
//! shared units are done. The [`record`] describes the outcome of the cycle.
//!
//! Two kinds of shared work do not start on edges. The engine takes over unfinished work of other agents concurrently with its own
//! cycles (`engine/assigned.rs`). After a reload, shared work changes with the first plan that includes the change; until then an
//! older one of the [`generations`] of a task is used.
//!
//! The engine uses plugins only through their traits, and accesses no file except the state file in [`progress`].

pub mod alarm;
pub mod backed_off;
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
mod slot;
pub mod splay;
pub mod stats;
pub mod task;
pub mod ticker;
