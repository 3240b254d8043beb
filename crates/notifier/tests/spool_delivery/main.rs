//! Publishers with a spool from the perspective of cycles and operators: the guarantees for each mode, sync option and event,
//! on a simulated disk that keeps only synced writes.

// Tests panic on failure; the exceptions of clippy.toml do not cover helpers next to the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account;
mod behaviour;
mod guarantees;
mod order;
#[path = "../spool/sim.rs"]
#[allow(dead_code, reason = "the tests of the log use the rest")]
mod sim;
mod world;
