//! A real RabbitMQ for tests and benchmarks, a network to it that can be cut, and a client that looks at what arrived.

mod broker;
mod client;

pub use crate::certificates::Certificates;
pub use crate::proxy::{Proxy, Weather};
pub use broker::Broker;
pub use client::{Arrivals, Client, resources};
