//! The store against a real etcd, in every trouble that etcd can be in.
//!
//! Nothing here sleeps: a test waits for what has to happen, and fails after [`nephoscope_tests::PATIENCE`].

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod access;
mod calls;
mod endpoints;
mod following;
mod leases;
mod pools;
mod stores;
mod troubles;
