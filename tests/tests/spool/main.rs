//! The program, its spools and a real RabbitMQ: which samples arrive when agents are killed, brokers fail and disks are full.
//!
//! Each test starts its own broker, which takes about ten seconds, and tests much with it. With `NEPHOSCOPE_LONG` in the
//! environment there are more crashes and more samples: `tests/long`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their helpers fail by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "seeds and counts are for readers of the output"
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
