//! A cloud that answers as OpenStack's services do, for tests and trials.
//!
//! [`Cloud::start`] serves Keystone, Nova, Glance, Cinder, Neutron, Octavia, Designate, Manila, Aodh, Swift, the admin API
//! of Ceph's object gateway and Barbican on one port of the loopback interface, each under a prefix of its own as behind a proxy.
//! It is strict: what the real service refuses is refused, with that service's form of an error. Every request is
//! counted by service, method, path template and status.
//!
//! There are as many resources of each kind as [`Size`] says; [`Cloud::churn`] replaces some. [`Cloud::fault`] makes
//! a service fail in one of the ways of [`FaultKind`].
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is part of tests, and a test fails by panicking"
)]

mod aodh;
mod barbican;
mod cinder;
mod clock;
mod cloud;
mod designate;
mod fault;
mod glance;
mod kept;
mod keystone;
mod manila;
mod microversion;
mod neutron;
mod nova;
mod octavia;
mod page;
mod refusal;
mod rgw;
mod service;
mod signature;
mod size;
mod swift;
mod world;

pub use cloud::{Cloud, Counted};
pub use fault::{Fault, FaultKind};
pub use keystone::{PASSWORD, SECRET_KEY, USER};
pub use service::Service;
pub use size::Size;
