//! Pools of real agents, and what is promised of them while things are done to them (docs/coordination.md, "Promises").
//!
//! Each scene is short. Longer ones, with faults drawn at random, are `tests/chaos`.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]
#![allow(
    clippy::print_stdout,
    reason = "tables are for whoever reads the output of a test"
)]

mod promises;
mod rules;
