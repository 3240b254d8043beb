//! What a running agent says about itself over HTTP: health, readiness, metrics, tasks, cycles.
//!
//! On TCP everything is read and nothing is changed: GET only. On the unix socket two POST routes act on spools. Answers hold no values of the configuration but the names
//! that operators gave (sources, listings, publishers), and the userinfo of every URL shows as `***`.

mod answer;
mod gate;
mod listener;
mod members;
mod query;
mod readiness;
mod routes;
mod server;
mod state;
mod views;

pub(crate) use listener::{ListenError, Listener};
pub(crate) use readiness::{Readiness, ReasonCode, Weight};
pub(crate) use routes::{DRAIN_PATH, DROP_PATH, ROUTES, Reach, Surface};
pub(crate) use server::serve;
pub(crate) use state::{AdminState, Phase};

#[cfg(test)]
mod tests;
