//! The notifier from the perspective of cycles and operators, with scripted publishers and paused time.

// Tests panic on failure; the exceptions of clippy.toml do not cover helpers next to the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod delivery;
mod doubles;
mod full_queue;
mod log;
mod model;
mod reload;
mod routing;
mod shutdown;
