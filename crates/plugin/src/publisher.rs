//! Plugins that deliver samples.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_model::{Batch, Encoding, PayloadKind, Run, WrongEncoding};
use serde::de::DeserializeOwned;

use crate::options;
use crate::{BlockingPool, OptionsError, RunEnd};

/// Delivers batches to one destination.
///
/// The notifier calls it with one batch after the other (up to [`Publisher::in_flight`] at once), repeats a batch after
/// [`PublishError::Retry`], and never delays a cycle for it.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Delivers a batch. `Ok` means that the destination has accepted all or a part of it permanently.
    ///
    /// Dropping the future must leave the publisher usable: the notifier does so at its deadline.
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError>;

    /// How many batches may be in flight at once. With more than one, their order is not preserved.
    fn in_flight(&self) -> usize {
        1
    }

    /// Whether the destination rejects samples that arrive after newer ones. If so, its spool delivers them in arrival order
    /// (`order: fifo`) by default, and a configuration that sets another order causes a warning.
    fn needs_order(&self) -> bool {
        false
    }

    /// The encoding that its spool stores. A publisher without an encoding has no spool. A publisher with a spool receives
    /// batches of which only the bytes of this encoding are known ([`Batch::stored_encoding`]). If it needs their samples,
    /// the encoding decodes them ([`Batch::payload`]).
    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        None
    }

    /// Whether it delivers batches of this kind; it does not receive others. Default: only samples.
    fn accepts(&self, kind: PayloadKind) -> bool {
        kind == PayloadKind::Samples
    }

    /// Whether it needs the start and end of runs. Only then are [`Publisher::run_started`] and [`Publisher::run_ended`] called,
    /// and do batches list their resources ([`Batch::resources`]).
    fn follows_runs(&self) -> bool {
        false
    }

    /// A run starts that may produce samples. `owns` returns whether this agent polls the resource with a key in the run's
    /// cycle; a resource that it does not own belongs to another agent from now on. Not called for a takeover.
    ///
    /// It is called immediately, before queued batches of earlier runs, and must not block.
    fn run_started(&self, run: &Arc<Run>, owns: &dyn Fn(&str) -> bool) {
        let _ = (run, owns);
    }

    /// A run has ended. All its batches have been delivered or lost, or are in the spool, which returns them without their
    /// run. The publisher receives no other batch before this returns. A publisher that is several cycles behind misses the
    /// ends between the oldest and the newest.
    async fn run_ended(&self, run: &Arc<Run>, end: &RunEnd) {
        let _ = (run, end);
    }

    /// Called once, after the last batch, when the agent stops or a reload removes the publisher.
    async fn close(&self) {}
}

/// The part of a batch that the destination accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Accepted {
    rejected: usize,
    reason: String,
}

impl Accepted {
    /// The whole batch was accepted.
    pub fn all() -> Self {
        Self::default()
    }

    /// All but `rejected` samples or events were accepted; those are permanently rejected for `reason`.
    pub fn partly(rejected: usize, reason: impl Into<String>) -> Self {
        Self {
            rejected,
            reason: reason.into(),
        }
    }

    /// The number of rejected samples or events.
    pub fn rejected(&self) -> usize {
        self.rejected
    }

    /// Why they were rejected; empty if all were accepted.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Why a batch was not delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The destination is unavailable or busy; a retry of the same batch may succeed.
    #[error("{message}")]
    Retry {
        /// What the operator should look at.
        message: String,
        /// The minimum delay that the destination requests. The notifier honours up to five minutes.
        not_before: Option<Duration>,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// This batch is permanently rejected; the next one may be accepted.
    #[error("{message}")]
    Rejected {
        /// The reason.
        message: String,
    },
}

impl PublishError {
    /// The destination is unavailable or busy.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry {
            message: message.into(),
            not_before: None,
            source: None,
        }
    }

    /// The destination is unavailable or busy, with the cause.
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

    /// Sets the minimum delay that the destination requests before the next attempt.
    #[must_use]
    pub fn not_before(mut self, delay: Duration) -> Self {
        if let Self::Retry { not_before, .. } = &mut self {
            *not_before = Some(delay);
        }
        self
    }

    /// This batch is permanently rejected.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::Rejected {
            message: message.into(),
        }
    }
}

/// A batch in an encoding that the publisher cannot read is permanently rejected. The notifier sends no such batch.
impl From<WrongEncoding> for PublishError {
    fn from(error: WrongEncoding) -> Self {
        Self::rejected(error.to_string())
    }
}

/// The context in which the agent builds a publisher.
pub struct PublisherContext {
    name: Arc<str>,
    url: String,
    options: serde_json::Value,
    blocking: BlockingPool,
}

impl PublisherContext {
    /// Creates the context. `options` are the keys other than `name` and `url`. For the agent and the testing kit.
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

    /// The URL including secrets. Never log or display it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Parses the options other than `name` and `url`.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionsError> {
        options::read(&self.options)
    }

    /// The thread pool for blocking calls.
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
