//! Publishers with a spool, as cycles and operators see them: what is promised for which mode, which sync and which
//! event, on a disk that keeps no more than it must.

// A test that cannot go on says so by a panic; the exceptions of clippy.toml do not reach helpers beside the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account;
mod behaviour;
mod guarantees;
mod order;
#[path = "../spool/sim.rs"]
#[allow(dead_code, reason = "the tests of the log use the rest")]
mod sim;
mod world;
