//! The notifier as cycles and operators see it, with publishers that do what a test tells them and time that stands still.

// A test that cannot go on says so by a panic; the exceptions of clippy.toml do not reach helpers beside the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod delivery;
mod doubles;
mod full_queue;
mod log;
mod model;
mod reload;
mod routing;
mod shutdown;
