//! What a notifier is started with: publishers, and the limits that all of them share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Signer;
use nephoscope_plugin::Publisher;

use crate::selectors::Selectors;
use crate::spool::Spool;

/// How many samples a publisher's queue holds where the configuration does not say. At 50 samples a second that is
/// half an hour of outage; an operator who sees it reached should look at why the publisher does not deliver.
pub const DEFAULT_QUEUE: usize = 100_000;

/// The pause before the first retry.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two retries: how late deliveries resume after the publisher's place is back.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The longest pause that a publisher's other side may ask for. An operator who sees a publisher wait so long should look at
/// what limits its requests there.
pub const NOT_BEFORE_MAX: Duration = Duration::from_secs(300);

/// How long one publish may take. An operator who sees it reached has a place that accepts and never answers.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a hand-over waits at a full queue of which nothing is taken, before the publisher counts as blocked and
/// its oldest batches are dropped. It is also the most by which a publisher that blocks can hold up a cycle, once.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How long a publisher that a reload removes may take to deliver what is queued, and one that a reload replaces
/// to finish what is under way.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long `close` of a publisher may take.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest pause between retries while a queue is being emptied for good: there is no later.
pub(crate) const DRAIN_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// What of a publisher's deadline is left for storing what it has not delivered, at most.
pub(crate) const STORE_TIME: Duration = Duration::from_secs(2);

/// While fresh batches go first, every so many departures one of the spool goes before them: a publisher that only just
/// keeps up works its backlog off all the same.
pub(crate) const BACKLOG_SHARE: u32 = 8;

/// How many batches a publisher may have under way at once, whatever it asks for.
pub(crate) const MAX_IN_FLIGHT: usize = 1024;

/// A publisher that the notifier delivers to.
#[derive(Clone)]
pub struct PublisherSetup {
    /// Its name in polling.yaml; a reload recognises it by this name.
    pub name: Arc<str>,
    /// Its URL as it may be shown, userinfo as `***`.
    pub url_shown: String,
    /// What delivers. A reload that passes the same one again ([`Notifier::publisher`]) changes nothing.
    ///
    /// [`Notifier::publisher`]: crate::Notifier::publisher
    pub publisher: Arc<dyn Publisher>,
    /// How many samples may be held for it in memory, those under way included. A single batch that is larger is taken
    /// when nothing else is held.
    pub queue: usize,
    /// Its queue on disk. A reload that passes the same one again ([`Notifier::spool`]) changes nothing; with another
    /// one, or none, the publisher of this name is stopped and the new one begins.
    ///
    /// [`Notifier::spool`]: crate::Notifier::spool
    pub spool: Option<Spool>,
    /// What it gets of all samples.
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

/// What all publishers of a notifier share: limits, and the signature of samples.
#[derive(Debug, Clone)]
pub struct NotifierOptions {
    /// Signs the samples of every batch (`notifier.signing_secret`); without, they have empty signatures.
    pub signer: Option<Arc<Signer>>,
    /// [`BACKOFF_MIN`]
    pub backoff_min: Duration,
    /// [`BACKOFF_MAX`]
    pub backoff_max: Duration,
    /// [`PUBLISH_TIMEOUT`]
    pub publish_timeout: Duration,
    /// [`PATIENCE`]
    pub patience: Duration,
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
            patience: PATIENCE,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}
