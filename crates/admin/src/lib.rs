//! What a running agent says about itself over HTTP: health, readiness, metrics, tasks, cycles.
//!
//! On TCP everything is read and nothing is changed: GET only. On the unix socket two POST routes act on spools. Answers hold no
//! values of the configuration but the names that operators gave (sources, listings, publishers), and the userinfo of every URL
//! shows as `***`.
//!
//! The agent gives the [`Handles`] of its parts, says in which [`Phase`] it is, and what became of the configuration on disk
//! ([`AdminState`]). Everything else is read from the parts when a request comes. [`AgentClient`] is the other end of the unix
//! socket.
//!
//! The tables [`ROUTES`], [`ReasonCode::ALL`] and [`families`] are what answers are made of; the references of the
//! documentation are made of the same tables.

mod answer;
mod client;
mod gate;
mod held;
mod listener;
mod members;
mod metrics;
mod places;
mod query;
mod readiness;
mod routes;
mod server;
mod state;
mod views;

pub use client::{AgentClient, BegunDrain, ClientError, Dropped, PublisherSeen, QuarantineSeen, SpoolSeen};
pub use held::HeldBatches;
pub use listener::ListenError;
pub use metrics::{BaseUnit, Family, Kind, families};
pub use places::{Api, Place, Places};
pub use readiness::{ReasonCode, Weight};
pub use routes::{ROUTES, Reach, Route};
pub use state::{AdminState, Handles, Phase};

#[cfg(test)]
mod tests;
