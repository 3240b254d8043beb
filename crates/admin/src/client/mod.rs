//! A client for the unix socket of a running agent.

mod exchange;

use std::path::PathBuf;
use std::time::Duration;

use axum::http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::routes::{DRAIN_PATH, DROP_PATH, PUBLISHERS_PATH};
use crate::spooled::SpooledEncoding;

pub use exchange::ClientError;

/// A client for a running agent.
#[derive(Debug, Clone)]
pub struct AgentClient {
    socket: PathBuf,
}

/// A publisher of the agent, with what spool commands need.
#[derive(Debug, Clone, Deserialize)]
pub struct PublisherInfo {
    /// The name.
    pub name: String,
    /// The last error, while the publisher fails.
    pub error: Option<String>,
    /// The spool, if there is one.
    pub spool: Option<SpoolInfo>,
}

/// A spool of the agent.
#[derive(Debug, Clone, Deserialize)]
pub struct SpoolInfo {
    /// The number of samples.
    pub samples: u64,
    /// The number of batches.
    pub batches: u64,
    /// The size on disk.
    pub bytes: u64,
    /// The maximum size on disk.
    pub limit_bytes: u64,
    /// The approximate time in UTC at which the oldest sample was stored.
    pub oldest: Option<String>,
    /// The contents by encoding.
    pub encodings: Vec<SpooledEncoding>,
    /// All batches with smaller numbers are delivered, dropped or unsupported.
    pub low: u64,
    /// The permanently rejected batches.
    pub dead_letter: DeadLetterInfo,
}

/// The dead letters of a publisher.
#[derive(Debug, Clone, Deserialize)]
pub struct DeadLetterInfo {
    /// The number of batches.
    pub batches: u64,
}

/// A started drain of a spool.
#[derive(Debug, Clone, Deserialize)]
pub struct StartedDrain {
    /// The publisher.
    pub name: String,
    /// The number of samples at the start of the drain.
    pub samples: u64,
    /// The drain is complete when [`SpoolInfo::low`] has reached this number.
    pub until: u64,
}

/// The result of a drop in a spool.
#[derive(Debug, Clone, Deserialize)]
pub struct Dropped {
    /// The publisher.
    pub name: String,
    /// The number of dropped samples.
    pub dropped_samples: u64,
    /// The number of dropped batches.
    pub dropped_batches: u64,
}

/// The envelope of all responses about publishers.
#[derive(Deserialize)]
struct Publishers<T> {
    publishers: Vec<T>,
}

impl AgentClient {
    /// Creates a client for the agent that listens at this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Returns all publishers. Must be called within a runtime, as the other methods.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub async fn publishers(&self) -> Result<Vec<PublisherInfo>, ClientError> {
        self.ask(Method::GET, PUBLISHERS_PATH).await
    }

    /// Starts to drain the spool of a publisher, or all spools.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub async fn drain(&self, publisher: Option<&str>) -> Result<Vec<StartedDrain>, ClientError> {
        self.post(DRAIN_PATH, None, publisher).await
    }

    /// Drops samples that are older than this, in whole seconds, from the spool of a publisher or from all spools.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub async fn drop_old(
        &self,
        older_than: Duration,
        publisher: Option<&str>,
    ) -> Result<Vec<Dropped>, ClientError> {
        let older_than = format!("older_than={}", older_than.as_secs());
        self.post(DROP_PATH, Some(older_than), publisher).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Option<String>,
        publisher: Option<&str>,
    ) -> Result<Vec<T>, ClientError> {
        // Names of publishers need no escapes.
        let publisher = publisher.map(|name| format!("publisher={name}"));
        let query: Vec<String> = query.into_iter().chain(publisher).collect();
        self.ask(Method::POST, &format!("{path}?{}", query.join("&")))
            .await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, target: &str) -> Result<Vec<T>, ClientError> {
        let answer: Publishers<T> = exchange::ask(&self.socket, method, target).await?;
        Ok(answer.publishers)
    }
}
