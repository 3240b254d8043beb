//! Plugins that deliver samples.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{Batch, Form};
use serde::de::DeserializeOwned;

use crate::options;
use crate::{BlockingPool, OptionsError};

/// Delivers batches to one place.
///
/// The notifier calls it with one batch after the other (up to [`Publisher::in_flight`] at once), again with
/// the same batch after [`PublishError::Retry`], and never waits for it in a cycle.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Delivers a batch. `Ok` means that the other side has taken it for good.
    ///
    /// Dropping the future must leave the publisher usable: the notifier does so at its deadline.
    async fn publish(&self, batch: Arc<Batch>) -> Result<(), PublishError>;

    /// How many batches may be under way at once; with more than one their order is not kept.
    fn in_flight(&self) -> usize {
        1
    }

    /// The form in which it delivers, if it delivers an encoded form and nothing else of a batch. Such a publisher can
    /// have a spool: it gets batches of which only this form is known ([`Batch::from_encoded`]).
    fn form(&self) -> Option<Form> {
        None
    }

    /// Called once, after the last batch, when the agent stops or a reload removes the publisher.
    async fn close(&self) {}
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
        /// What caused it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// This batch will never be taken; the next one may be.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
    },
}

impl PublishError {
    /// The place is away or busy.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry {
            message: message.into(),
            source: None,
        }
    }

    /// The place is away or busy, and why.
    pub fn retry_after(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Retry {
            message: message.into(),
            source: Some(source.into()),
        }
    }

    /// This batch will never be taken.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
        }
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
