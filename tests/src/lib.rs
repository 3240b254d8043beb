//! Runs the real program as a user would, and sees what a user would see: output, exit codes, files, the admin API.
//!
//! A test makes a [`Lab`], which is a folder with a configuration, starts a [`Program`] in it, waits for what has to
//! happen, and asserts. Nothing sleeps: every wait is for a line, an answer, a datagram or the end of the program,
//! and fails after [`PATIENCE`] with all output so far. A program ends with the value that stands for it.
//!
//! What the program talks to is real as well: an [`Etcd`] of one or more nodes that can be killed, frozen and emptied, and a [`Proxy`] between
//! a client and a server, which can be slow, cut, or half open.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is part of tests, and a test fails by panicking"
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
pub use proxy::{Proxy, Weather};
pub use sample::{Sample, samples, samples_in};
