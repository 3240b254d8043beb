//! The options of a notifier: its publishers and their common limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Signer;
use nephoscope_plugin::Publisher;

use crate::selectors::Selectors;
use crate::spool::Spool;

/// The default queue size in samples. At 50 samples per second it covers an outage of half an hour. When it is reached, check
/// why the publisher does not deliver.
pub const DEFAULT_QUEUE: usize = 100_000;

/// The pause before the first retry.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two retries. Deliveries resume at most this long after the destination is reachable again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The longest pause that a destination may request. When a publisher waits this long, check the destination's rate limits.
pub const NOT_BEFORE_MAX: Duration = Duration::from_secs(300);

/// The timeout of one publish. When it is reached, the destination accepts requests without answering them.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a submission waits at a full queue that makes no progress. After that the publisher counts as blocked and its
/// oldest batches are dropped. A blocked publisher delays a cycle by at most this time, once.
pub const FULL_QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a publisher that a reload removes may drain its queue, and how long a replaced one may finish its in-flight batches.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The timeout of a publisher's `close`.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest pause between retries while a queue is drained.
pub(crate) const DRAIN_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The part of a drain's time that is reserved for storing undelivered batches, at most.
pub(crate) const STORE_TIME: Duration = Duration::from_secs(2);

/// Newest first: every n-th batch comes from the spool, so that a publisher that barely keeps up still works off its backlog.
pub(crate) const BACKLOG_INTERVAL: u32 = 8;

/// The limit on in-flight batches of a publisher, whatever it requests.
pub(crate) const MAX_IN_FLIGHT: usize = 1024;

/// A publisher and its settings.
#[derive(Clone)]
pub struct PublisherSetup {
    /// Its name in polling.yaml; a reload identifies it by this name.
    pub name: Arc<str>,
    /// Its URL for display, with the userinfo as `***`.
    pub url_shown: String,
    /// The publisher. A reload that passes the same one again ([`Notifier::publisher`]) does not restart it.
    ///
    /// [`Notifier::publisher`]: crate::Notifier::publisher
    pub publisher: Arc<dyn Publisher>,
    /// The limit on samples in memory, in-flight ones included. An empty queue accepts a single larger batch.
    pub queue: usize,
    /// Its queue on disk. A reload that passes the same one again ([`Notifier::spool`]) does not restart it. With a different
    /// spool, or none, the reload stops the publisher and starts a new one.
    ///
    /// [`Notifier::spool`]: crate::Notifier::spool
    pub spool: Option<Spool>,
    /// The samples that it receives.
    pub selectors: Selectors,
}

impl fmt::Debug for PublisherSetup {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PublisherSetup")
            .field("name", &self.name)
            .field("url_shown", &self.url_shown)
            .field("queue", &self.queue)
            .field("spool", &self.spool)
            .field("selectors", &self.selectors)
            .finish_non_exhaustive()
    }
}

/// The options that all publishers share.
#[derive(Debug, Clone)]
pub struct NotifierOptions {
    /// Signs the samples of every batch (`notifier.signing_secret`). Without it, signatures are empty.
    pub signer: Option<Arc<Signer>>,
    /// [`BACKOFF_MIN`]
    pub backoff_min: Duration,
    /// [`BACKOFF_MAX`]
    pub backoff_max: Duration,
    /// [`PUBLISH_TIMEOUT`]
    pub publish_timeout: Duration,
    /// [`FULL_QUEUE_TIMEOUT`]
    pub full_queue_timeout: Duration,
    /// [`DRAIN_TIMEOUT`]
    pub drain_timeout: Duration,
}

impl Default for NotifierOptions {
    fn default() -> Self {
        Self {
            signer: None,
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
            publish_timeout: PUBLISH_TIMEOUT,
            full_queue_timeout: FULL_QUEUE_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}
