//! The publisher `amqp://`: samples as oslo.messaging notifications over RabbitMQ.
//!
//! What is sent is what ceilometer's polling agent sends, so that its notification agent, and whatever else consumes
//! `notifications.sample`, takes it without a change. `docs/amqp.md` has the options, the errors and what is promised.

mod link;
mod options;
mod publisher;
mod session;
mod stream;
mod tls;
mod topology;
mod transport;
mod trouble;
mod url;
