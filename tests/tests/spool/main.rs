//! The program, its spools and a real RabbitMQ: what arrives when agents are killed, brokers go and disks are full.
//!
//! Each test starts a broker of its own, which takes some ten seconds, and so does much with it. With `NEPHOSCOPE_LONG` in the
//! environment there are more crashes and more samples: `tests/long`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]
#![allow(
    clippy::print_stdout,
    reason = "seeds and counts are for whoever reads the output of a test"
)]

mod account;
mod command;
mod crashes;
mod draw;
mod full_disk;
mod independent;
mod lifecycle;
mod outages;
mod scene;
