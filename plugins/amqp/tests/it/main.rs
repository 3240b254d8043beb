//! The publisher with a real RabbitMQ.
//!
//! A broker starts within some ten seconds, and each test may run in its own process. One test runs all scenarios that do not
//! stop the broker, concurrently and each with its own virtual host; another one runs those that stop it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by a panic"
)]

mod batches;
mod log;
mod outages;
mod scenarios;

use nephoscope_amqp as _;
