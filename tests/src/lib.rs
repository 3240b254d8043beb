//! Runs the real program as a user does, and checks what a user sees: output, exit codes, files, the admin API.
//!
//! A test creates a [`Lab`], a folder with a configuration, starts a [`Program`] in it, waits for events, and asserts.
//! Nothing sleeps: every wait is for a line, a response, a datagram or the end of the program, and fails after [`PATIENCE`]
//! with all output. Dropping a [`Program`] kills it.
//!
//! The servers are real too: an [`Etcd`] of one or more nodes that can be killed, frozen and wiped, and a [`Proxy`] between
//! client and server that can delay, cut or stall connections.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are helpers of tests, which fail by panicking"
)]

mod binary;
mod certificates;
pub mod chaos;
mod deadline;
mod etcd;
mod http;
mod lab;
mod launch;
pub mod libvirt;
mod manager;
pub mod oracle;
mod ports;
mod program;
mod proxy;
pub mod rabbitmq;
mod sample;
mod skip;
mod terminal;

pub use binary::{failpoints_path, program_path, repository};
pub use certificates::Certificates;
pub use deadline::{Deadline, PATIENCE};
pub use etcd::{Build, Etcd, Node};
pub use http::{Answer, request};
pub use lab::Lab;
pub use launch::{Finished, Launch};
pub use manager::Manager;
pub use ports::free_ports;
pub use program::{Program, Signal};
pub use proxy::{Network, Proxy};
pub use sample::{Sample, samples, samples_in};
pub use skip::report_skipped;
