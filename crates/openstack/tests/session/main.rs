//! The session with a cloud: one that answers as OpenStack's services do, and a real Keystone.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod cloud;
mod keystone;
mod lab;
mod server;
