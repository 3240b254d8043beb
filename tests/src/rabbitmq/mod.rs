//! A real RabbitMQ for tests and benchmarks, and a client that looks at what arrived.

mod broker;
mod certificates;
mod client;

pub use broker::Broker;
pub use certificates::Certificates;
pub use client::{Arrivals, Client, resources};
