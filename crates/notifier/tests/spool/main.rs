//! The spool's log on a simulated file system that loses, reorders, truncates and corrupts unsynced writes, and on a real one.

// Tests panic on failure; the exceptions of clippy.toml do not cover helpers next to the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod corruption;
mod folder;
mod histories;
mod old_format;
mod reader;
mod sim;
mod unsupported;
