//! Asks an agent that runs, through its unix socket.

mod exchange;

use std::path::PathBuf;
use std::time::Duration;

use axum::http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::held::HeldBatches;
use crate::routes::{DRAIN_PATH, DROP_PATH, PUBLISHERS_PATH};

pub use exchange::ClientError;

/// An agent that runs, at its unix socket.
#[derive(Debug, Clone)]
pub struct AgentClient {
    socket: PathBuf,
}

/// What an agent says of a publisher, as far as it matters to those who ask for its spool.
#[derive(Debug, Clone, Deserialize)]
pub struct PublisherSeen {
    /// Its name.
    pub name: String,
    /// Why it failed last, while it does.
    pub error: Option<String>,
    /// Its spool, if it has one.
    pub spool: Option<SpoolSeen>,
}

/// What an agent says of a spool.
#[derive(Debug, Clone, Deserialize)]
pub struct SpoolSeen {
    /// Samples in it.
    pub samples: u64,
    /// Batches in it.
    pub batches: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// How many bytes it may take.
    pub limit_bytes: u64,
    /// About when the oldest of it was stored, in UTC.
    pub oldest: Option<String>,
    /// What it holds, by encoding.
    pub encodings: Vec<HeldBatches>,
    /// Every batch with a smaller number is done with, or kept.
    pub low: u64,
    /// Batches that were refused for good.
    pub quarantine: QuarantineSeen,
}

/// What an agent says of a quarantine.
#[derive(Debug, Clone, Deserialize)]
pub struct QuarantineSeen {
    /// Batches in it.
    pub batches: u64,
}

/// A spool that is being drained.
#[derive(Debug, Clone, Deserialize)]
pub struct BegunDrain {
    /// Its publisher.
    pub name: String,
    /// Samples that it held at the begin.
    pub samples: u64,
    /// It is empty of these when [`SpoolSeen::low`] has reached this.
    pub until: u64,
}

/// What was dropped from a spool.
#[derive(Debug, Clone, Deserialize)]
pub struct Dropped {
    /// Its publisher.
    pub name: String,
    /// Samples that were dropped.
    pub dropped_samples: u64,
    /// Batches that were dropped.
    pub dropped_batches: u64,
}

/// What all answers about publishers have around them.
#[derive(Deserialize)]
struct Publishers<T> {
    publishers: Vec<T>,
}

impl AgentClient {
    /// For the agent that listens at this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// All publishers. Called within a runtime, as the other ones.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub async fn publishers(&self) -> Result<Vec<PublisherSeen>, ClientError> {
        self.ask(Method::GET, PUBLISHERS_PATH).await
    }

    /// Begins to drain the spool of a publisher, or all spools.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub async fn drain(&self, publisher: Option<&str>) -> Result<Vec<BegunDrain>, ClientError> {
        self.post(DRAIN_PATH, None, publisher).await
    }

    /// Drops what was stored longer ago than this, in whole seconds, from the spool of a publisher or from all spools.
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
        // Names have no letter that would have to be escaped.
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
