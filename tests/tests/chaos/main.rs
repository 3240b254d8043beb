//! The guarantees of pools of real agents under faults (docs/coordination.md).
//!
//! Each scene is short. `tests/chaos` runs longer ones with random faults.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their helpers fail by panicking"
)]
#![allow(clippy::print_stdout, reason = "tables are for readers of the output")]

mod promises;
mod rules;
