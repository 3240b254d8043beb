//! The publisher `amqp://`: samples as oslo.messaging notifications over RabbitMQ.
//!
//! The messages equal those of ceilometer's polling agent, so that its notification agent and other consumers of
//! `notifications.sample` accept them unchanged. `docs/amqp.md` describes the options, the errors and the guarantees.

mod error;
mod link;
mod options;
mod publisher;
mod session;
mod stream;
mod tls;
mod topology;
mod transport;
mod url;
