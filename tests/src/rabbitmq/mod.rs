//! A real RabbitMQ for tests and benchmarks, a network to it that can be cut, and a client that looks at what arrived.

mod broker;
mod certificates;
mod client;
mod proxy;

pub use broker::Broker;
pub use certificates::Certificates;
pub use client::{Arrivals, Client, resources};
pub use proxy::{Proxy, Weather};
