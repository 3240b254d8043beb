//! The plugins against a real libvirtd, with QEMU domains that need no KVM.
//!
//! The daemon has folders, sockets and a network of its own: what the machine has of libvirt is not touched. Where it
//! cannot be started (no root, no libvirt, no QEMU), each test says so and compares recorded answers instead.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod clock;
mod compare;
mod faults;
mod leaks;
mod nova;
mod random;
mod setup;
mod tls;
mod values;

use nephoscope_libvirt as _;
