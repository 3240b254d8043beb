//! The publisher against a real RabbitMQ.
//!
//! A broker takes some ten seconds to start, and tests may run in a process each: so one test runs all scenarios that
//! leave the broker alone, side by side, each with a virtual host of its own, and another one those that stop it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod batches;
mod broker;
mod consumer;
mod log;
mod outages;
mod scenarios;

use nephoscope_amqp as _;
