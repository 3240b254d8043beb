//! Takes samples from cycles and gets them to publishers.
//!
//! A [`Notifier`] has a *lane* for each publisher: a bounded queue and a task of its own. A batch is handed by
//! reference to the lanes whose publishers select it ([`Selectors`], [`Notifier::submit`]); its [`Receipt`] says what became of it. What a full queue, a publisher
//! that is away and a stop of the agent mean for samples is told in `docs/delivery.md`.
//!
//! A publisher may have a [`spool`]: where a lane would drop the oldest batches of a full queue, or what is left at the
//! end, it stores them instead; or it stores every batch first.

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
    BACKOFF_MAX, BACKOFF_MIN, DEFAULT_QUEUE, DRAIN_TIMEOUT, NOT_BEFORE_MAX, NotifierOptions, PATIENCE,
    PUBLISH_TIMEOUT, PublisherSetup,
};
pub use receipt::{Outcome, Receipt, ReceiptSet};
pub use selectors::{MeterSelector, Selectors};
pub use status::{PublisherEnd, PublisherState, PublisherStatus, ShutdownReport};
