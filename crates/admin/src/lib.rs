//! The HTTP API of a running agent: health, readiness, metrics, tasks, cycles.
//!
//! TCP listeners are read-only. The unix socket also has two POST routes for spools. Responses contain no configuration values
//! except names that operators chose (sources, discovery URLs, publishers). The userinfo of URLs is shown as `***`.
//!
//! The agent passes [`Handles`] of its parts, and sets its [`Phase`] and the state of the configuration on disk in
//! [`AdminState`]. All other data is read from the parts at each request. [`AgentClient`] is the client for the unix socket.
//!
//! The tables [`ROUTES`], [`ReasonCode::ALL`] and [`families`] define the responses. The reference documentation is generated
//! from the same tables.

mod client;
mod endpoints;
mod gate;
mod listener;
mod members;
mod metrics;
mod query;
mod readiness;
mod response;
mod routes;
mod server;
mod spooled;
mod state;
mod views;

pub use client::{AgentClient, ClientError, DeadLetterInfo, Dropped, PublisherInfo, SpoolInfo, StartedDrain};
pub use endpoints::{Api, Endpoint, Endpoints};
pub use listener::ListenError;
pub use metrics::{BaseUnit, Family, Kind, Stability, families};
pub use readiness::{ReasonCode, Severity};
pub use routes::{ROUTES, Reach, Route};
pub use spooled::SpooledEncoding;
pub use state::{AdminState, Handles, Phase};

#[cfg(test)]
mod tests;
