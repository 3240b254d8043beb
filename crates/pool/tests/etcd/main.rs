//! The store with a real etcd, in each of etcd's failures.
//!
//! No test sleeps: it waits for an event, and fails after [`nephoscope_tests::PATIENCE`].

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod access;
mod calls;
mod endpoints;
mod failures;
mod following;
mod leases;
mod pools;
mod stores;
