//! Plugins that deliver samples.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_model::{Batch, Encoding, PayloadKind, Run, WrongEncoding};
use serde::de::DeserializeOwned;

use crate::options;
use crate::{BlockingPool, OptionsError, RunEnd};

/// Delivers batches to one place.
///
/// The notifier calls it with one batch after the other (up to [`Publisher::in_flight`] at once), again with
/// the same batch after [`PublishError::Retry`], and never waits for it in a cycle.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Delivers a batch. `Ok` means that the other side has taken it, or a part of it, permanently.
    ///
    /// Dropping the future must leave the publisher usable: the notifier does so at its deadline.
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError>;

    /// How many batches may be under way at once; with more than one their order is not kept.
    fn in_flight(&self) -> usize {
        1
    }

    /// Whether the other side rejects samples that come after newer ones. Its spool gives them back in the order in which they came
    /// then (`order: fifo`), unless the configuration says something else, which is warned about.
    fn needs_order(&self) -> bool {
        false
    }

    /// The encoding that its spool stores. A publisher without one has no spool. One that has a spool gets batches of
    /// which only the bytes of this encoding are known ([`Batch::stored_encoding`]); where it needs their samples, the
    /// encoding decodes ([`Batch::payload`]).
    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        None
    }

    /// Whether it delivers batches of this kind; others are not given to it. Only samples by default.
    fn takes(&self, kind: PayloadKind) -> bool {
        kind == PayloadKind::Samples
    }

    /// Whether it wants to know when runs begin and end. Only then are [`Publisher::run_began`] and [`Publisher::run_ended`] called,
    /// and do batches say of which resources they are ([`Batch::resources`]).
    fn follows_runs(&self) -> bool {
        false
    }

    /// A run begins that may bring samples. `owns` says whether this agent polls the resource with a key, by the plan of the run's
    /// cycle; a resource that it does not own is another agent's from now on. For a takeover it is not called.
    ///
    /// It is called at once, before batches of earlier runs that still wait, and must not block.
    fn run_began(&self, run: &Arc<Run>, owns: &dyn Fn(&str) -> bool) {
        let _ = (run, owns);
    }

    /// A run has ended. All its batches have been delivered or lost, or are in the spool, from which they come without their run;
    /// no other batch is given to the publisher before this returns. A publisher that is behind by several cycles misses the ends
    /// between the oldest and the newest.
    async fn run_ended(&self, run: &Arc<Run>, end: &RunEnd) {
        let _ = (run, end);
    }

    /// Called once, after the last batch, when the agent stops or a reload removes the publisher.
    async fn close(&self) {}
}

/// What the other side took of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Accepted {
    rejected: usize,
    reason: String,
}

impl Accepted {
    /// The whole batch.
    pub fn all() -> Self {
        Self::default()
    }

    /// All but `rejected` samples or events, which it will never take, and why.
    pub fn partly(rejected: usize, reason: impl Into<String>) -> Self {
        Self {
            rejected,
            reason: reason.into(),
        }
    }

    /// How many samples or events it rejected.
    pub fn rejected(&self) -> usize {
        self.rejected
    }

    /// Why it rejected them; empty where it took all.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Why a batch was not delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The place is away or busy; the same batch may be taken later.
    #[error("{message}")]
    Retry {
        /// What to look at.
        message: String,
        /// The other side asks for at least this pause. The notifier obeys up to five minutes.
        not_before: Option<Duration>,
        /// What caused it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// This batch will never be taken; the next one may be.
    #[error("{message}")]
    Rejected {
        /// Why.
        message: String,
    },
}

impl PublishError {
    /// The place is away or busy.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry {
            message: message.into(),
            not_before: None,
            source: None,
        }
    }

    /// The place is away or busy, and why.
    pub fn retry_because(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Retry {
            message: message.into(),
            not_before: None,
            source: Some(source.into()),
        }
    }

    /// The same, where the other side asks for a pause of `pause` before the next attempt.
    #[must_use]
    pub fn not_before(mut self, pause: Duration) -> Self {
        if let Self::Retry { not_before, .. } = &mut self {
            *not_before = Some(pause);
        }
        self
    }

    /// This batch will never be taken.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::Rejected {
            message: message.into(),
        }
    }
}

/// A batch in an encoding that the publisher does not read is never taken. The notifier gives no such batch.
impl From<WrongEncoding> for PublishError {
    fn from(error: WrongEncoding) -> Self {
        Self::rejected(error.to_string())
    }
}

/// What a publisher is given when the agent makes it.
pub struct PublisherContext {
    name: Arc<str>,
    url: String,
    options: serde_json::Value,
    blocking: BlockingPool,
}

impl PublisherContext {
    /// For the agent and the testing kit: `options` are the keys beside `name` and `url`.
    pub fn new(name: Arc<str>, url: String, options: serde_json::Value, blocking: BlockingPool) -> Self {
        Self {
            name,
            url,
            options,
            blocking,
        }
    }

    /// The publisher's name in polling.yaml.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The URL, secrets included: never to be shown.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The options beside `name` and `url`.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionsError> {
        options::read(&self.options)
    }

    /// Threads for calls that block.
    pub fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }
}

impl fmt::Debug for PublisherContext {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PublisherContext")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
