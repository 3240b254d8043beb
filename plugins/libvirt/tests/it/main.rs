//! Tests of the plugins with a real libvirtd and QEMU domains that need no KVM.
//!
//! The daemon has its own folders, sockets and network: the machine's libvirt is not used. If it cannot be started (no root,
//! no libvirt, no QEMU), each test reports it and uses recorded answers instead.

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
