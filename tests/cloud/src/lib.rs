//! A simulated OpenStack cloud, for tests and trials.
//!
//! [`Cloud::start`] serves Keystone, Nova, Glance, Cinder, Neutron, Octavia, Designate, Manila, Aodh, Swift, the admin API of
//! Ceph's object gateway and Barbican on one port of the loopback interface, each under its own prefix as behind a proxy. It
//! is strict: it rejects the requests that the real service rejects, with that service's error format. It counts every
//! request by service, method, path template and status.
//!
//! [`Size`] sets the number of resources of each kind; [`Cloud::churn`] replaces some. [`Cloud::fault`] injects a
//! [`FaultKind`] into a service.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are helpers of tests, which fail by panicking"
)]

mod aodh;
mod barbican;
mod cache;
mod cinder;
mod clock;
mod cloud;
mod designate;
mod fault;
mod glance;
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
