//! How many polls may run at once: of the agent, and of one endpoint.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds, all of them options under `agent.limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitOptions {
    /// Polls of the agent that run at once.
    pub polls: usize,
    /// Polls of one endpoint that run at once.
    pub endpoint: usize,
    /// Resources that one listing may give in a cycle.
    pub listing: usize,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            polls: 64,
            endpoint: 8,
            listing: 2_000_000,
        }
    }
}

/// Gives out places for polls.
#[derive(Debug)]
pub struct Limits {
    options: LimitOptions,
    polls: Arc<Semaphore>,
    endpoints: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// The places of one poll; given back when dropped.
#[derive(Debug)]
pub struct Places {
    _endpoint: Option<OwnedSemaphorePermit>,
    _poll: Option<OwnedSemaphorePermit>,
}

impl Limits {
    /// All places free.
    pub fn new(options: LimitOptions) -> Self {
        let polls = Arc::new(Semaphore::new(options.polls.max(1)));
        Self {
            options,
            polls,
            endpoints: Mutex::default(),
        }
    }

    /// The bounds.
    pub fn options(&self) -> &LimitOptions {
        &self.options
    }

    /// Waits for the places of a poll. That of its endpoint comes first: who waits for a slow endpoint keeps
    /// no place of the agent from others.
    pub async fn acquire(&self, endpoint: Option<&Arc<str>>) -> Places {
        let semaphore = endpoint.map(|endpoint| {
            self.endpoints
                .lock()
                .entry(endpoint.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(self.options.endpoint.max(1))))
                .clone()
        });
        // The semaphores are never closed, so every wait ends with a permit.
        let endpoint = match semaphore {
            Some(semaphore) => semaphore.acquire_owned().await.ok(),
            None => None,
        };
        let poll = self.polls.clone().acquire_owned().await.ok();
        Places {
            _endpoint: endpoint,
            _poll: poll,
        }
    }
}
