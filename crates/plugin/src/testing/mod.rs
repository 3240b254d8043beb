//! The testing kit: runs a plugin without an agent.
//!
//! [`Kit`] builds what a family registered and runs it as the engine does: with pages, a deadline, and a sink that collects
//! all reports. [`conformance()`] checks the rules for every plugin. With the feature `recorded-http`, `testing::http`
//! replays recorded exchanges instead of a real service.
//!
//! ```no_run
//! # async fn example() {
//! use nephoscope_plugin::testing::Kit;
//!
//! let kit = Kit::new("weather").options(serde_json::json!({ "station": "EGLC" }));
//! let outcome = kit.pollster("weather").resources(["London"]).poll().await;
//! outcome.assert_clean();
//! assert_eq!(outcome.text(), "London  temperature  21.5 °C\n");
//! # }
//! ```
//!
//! The kit panics to fail a test.
#![allow(
    clippy::panic,
    reason = "the kit runs in tests only, and a panic is how a test fails"
)]

mod conformance;
#[cfg(feature = "recorded-http")]
pub mod http;
mod kit;
mod outcome;
mod publishing;
mod schema;

pub use conformance::{Conformance, conformance};
pub use kit::{DiscoverySetup, Kit, PollSetup};
pub use outcome::{Outcome, ResourceFailure};
pub use publishing::{batch, publisher, publisher_conformance};
