//! End-to-end tests: the real program, in a folder of its own, seen from outside.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod admin;
mod central;
mod central_transport;
mod commands;
mod compute;
mod cost;
mod cycles;
mod exit_codes;
mod faults;
mod hostile;
mod members;
mod once;
mod output;
mod pool;
mod reload;
mod restart;
mod secrets;
mod service;
mod start;
mod stop;
mod troubles;
mod troubles_access;
mod troubles_network;
