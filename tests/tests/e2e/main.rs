//! End-to-end tests: the real program in a temporary folder, tested through its interfaces.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their helpers fail by panicking"
)]

mod access_errors;
mod admin;
mod central;
mod central_transport;
mod commands;
mod compute;
mod cost;
mod cycles;
mod etcd_errors;
mod examples;
mod exit_codes;
mod faults;
mod hostile;
mod members;
mod network_errors;
mod once;
mod output;
mod pool;
mod reload;
mod restart;
mod secrets;
mod service;
mod start;
mod stop;
