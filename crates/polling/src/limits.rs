//! How many polls may run at once: of the agent, and of one endpoint.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_plugin::{Admission, Permit};
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
    endpoints: Arc<Endpoints>,
}

/// The places of one poll; given back when dropped.
#[derive(Debug)]
pub struct Places {
    _endpoint: Option<EndpointPlace>,
    _poll: Option<OwnedSemaphorePermit>,
}

impl Limits {
    /// All places free.
    pub fn new(options: LimitOptions) -> Self {
        let polls = Arc::new(Semaphore::new(options.polls.max(1)));
        let endpoints = Endpoints {
            places: options.endpoint.max(1),
            used: Mutex::default(),
        };
        Self {
            options,
            polls,
            endpoints: Arc::new(endpoints),
        }
    }

    /// The bounds.
    pub fn options(&self) -> &LimitOptions {
        &self.options
    }

    /// Waits for the places of a poll. That of its endpoint comes first: who waits for a slow endpoint keeps
    /// no place of the agent from others.
    pub async fn acquire(&self, endpoint: Option<&Arc<str>>) -> Places {
        let endpoint = match endpoint {
            Some(endpoint) => Some(self.endpoints.clone().place(endpoint).await),
            None => None,
        };
        // The semaphores are never closed, so every wait ends with a permit.
        let poll = self.polls.clone().acquire_owned().await.ok();
        Places {
            _endpoint: endpoint,
            _poll: poll,
        }
    }

    /// Gives out places at endpoints that a poll chooses for its resources. The poll has a place at its `own` endpoint
    /// already, and needs no further one.
    pub fn admission(&self, own: Option<Arc<str>>) -> Arc<dyn Admission> {
        Arc::new(PollAdmission {
            endpoints: self.endpoints.clone(),
            own,
        })
    }

    /// How many endpoints have a place that is used or waited for.
    pub fn endpoints(&self) -> usize {
        self.endpoints.used.lock().len()
    }
}

struct PollAdmission {
    endpoints: Arc<Endpoints>,
    own: Option<Arc<str>>,
}

#[async_trait]
impl Admission for PollAdmission {
    async fn admit(&self, endpoint: &Arc<str>) -> Permit {
        if self.own.as_ref() == Some(endpoint) {
            return Permit::unlimited();
        }
        Permit::new(self.endpoints.clone().place(endpoint).await)
    }
}

/// The places of all endpoints that somebody uses or waits for: plugins name endpoints as they find them, so nothing is kept
/// of the others.
#[derive(Debug)]
struct Endpoints {
    /// Of each endpoint.
    places: usize,
    used: Mutex<HashMap<Arc<str>, Used>>,
}

#[derive(Debug)]
struct Used {
    semaphore: Arc<Semaphore>,
    /// How many have a place or wait for one.
    users: usize,
}

impl Endpoints {
    async fn place(self: Arc<Self>, endpoint: &Arc<str>) -> EndpointPlace {
        let (user, semaphore) = self.begin(endpoint);
        EndpointPlace {
            _permit: semaphore.acquire_owned().await.ok(),
            _user: user,
        }
    }

    fn begin(self: Arc<Self>, endpoint: &Arc<str>) -> (EndpointUser, Arc<Semaphore>) {
        let mut used = self.used.lock();
        let entry = used.entry(endpoint.clone()).or_insert_with(|| Used {
            semaphore: Arc::new(Semaphore::new(self.places)),
            users: 0,
        });
        entry.users += 1;
        let semaphore = entry.semaphore.clone();
        drop(used);
        let user = EndpointUser {
            endpoint: endpoint.clone(),
            endpoints: self,
        };
        (user, semaphore)
    }
}

/// A place at an endpoint. The permit goes back before the user leaves.
#[derive(Debug)]
struct EndpointPlace {
    _permit: Option<OwnedSemaphorePermit>,
    _user: EndpointUser,
}

/// One that has a place at an endpoint, or waits for one.
#[derive(Debug)]
struct EndpointUser {
    endpoint: Arc<str>,
    endpoints: Arc<Endpoints>,
}

impl Drop for EndpointUser {
    fn drop(&mut self) {
        let mut used = self.endpoints.used.lock();
        if let Some(entry) = used.get_mut(&self.endpoint) {
            entry.users -= 1;
            if entry.users == 0 {
                used.remove(&self.endpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    fn limits(endpoint: usize) -> Limits {
        Limits::new(LimitOptions {
            endpoint,
            ..LimitOptions::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_has_so_many_places_and_is_forgotten_when_nobody_uses_it() {
        let limits = limits(2);
        let admission = limits.admission(None);
        let (here, there) = (Arc::from("here"), Arc::from("there"));
        let first = admission.admit(&here).await;
        let second = admission.admit(&here).await;
        assert!(
            timeout(SHORT, admission.admit(&here)).await.is_err(),
            "all places are taken"
        );
        assert_eq!(limits.endpoints(), 1, "who has given up waiting counts no more");
        let other = timeout(SHORT, admission.admit(&there)).await.unwrap();
        assert_eq!(limits.endpoints(), 2);
        drop(first);
        let third = timeout(SHORT, admission.admit(&here)).await.unwrap();
        drop((second, third, other));
        assert_eq!(limits.endpoints(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_has_its_place_at_its_own_endpoint_already() {
        let limits = limits(1);
        let own: Arc<str> = "own".into();
        let places = limits.acquire(Some(&own)).await;
        let admission = limits.admission(Some(own.clone()));
        let permit = timeout(SHORT, admission.admit(&own)).await.unwrap();
        let stranger = limits.admission(None);
        assert!(timeout(SHORT, stranger.admit(&own)).await.is_err());
        drop(permit);
        drop(places);
        assert!(timeout(SHORT, stranger.admit(&own)).await.is_ok());
    }
}
