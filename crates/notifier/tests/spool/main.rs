//! The spool's log on a file system that loses, reorders, tears and flips what was not synced, and on a real one.

// A test that cannot go on says so by a panic; the exceptions of clippy.toml do not reach helpers beside the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod damage;
mod folder;
mod histories;
mod kept;
mod old_format;
mod reader;
mod sim;
