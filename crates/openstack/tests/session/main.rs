//! Tests of the session with a simulated cloud and with a real Keystone.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod cloud;
mod keystone;
mod lab;
mod server;
