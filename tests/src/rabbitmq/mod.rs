//! A real RabbitMQ for tests and benchmarks, and a client that inspects it.

mod broker;
mod client;

pub use crate::certificates::Certificates;
pub use crate::proxy::{Network, Proxy};
pub use broker::Broker;
pub use client::{Arrivals, Client, resources};
