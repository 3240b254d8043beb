//! Queues samples of polling cycles and delivers them to publishers.
//!
//! A [`Notifier`] has a *lane* for each publisher: a bounded queue and its own task. [`Notifier::submit`] passes a batch by
//! reference to the lanes whose publishers select it ([`Selectors`]) and returns a [`Receipt`] with the outcome.
//! `docs/delivery.md` describes the effects of a full queue, an unreachable publisher and a stop of the agent.
//!
//! A publisher may have a [`spool`]. In overflow mode it stores the batches that the lane would otherwise drop: the oldest of
//! a full queue, and the remaining ones at a stop. In always mode it stores every batch first.

mod events;
#[cfg(feature = "failpoints")]
pub mod failpoint;
mod health;
mod lane;
mod notifier;
mod options;
mod queue;
mod receipt;
mod routes;
mod selectors;
pub mod spool;
mod status;

pub use events::Counts;
pub use notifier::Notifier;
pub use options::{
    BACKOFF_MAX, BACKOFF_MIN, DEFAULT_QUEUE, DRAIN_TIMEOUT, FULL_QUEUE_TIMEOUT, NOT_BEFORE_MAX,
    NotifierOptions, PUBLISH_TIMEOUT, PublisherSetup,
};
pub use receipt::{Outcome, Receipt, ReceiptSet};
pub use selectors::{MeterSelector, Selectors};
pub use status::{PublisherEnd, PublisherState, PublisherStatus, ShutdownReport};
