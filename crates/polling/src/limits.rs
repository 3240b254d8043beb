//! Limits on concurrent polls: of the agent, and of one endpoint.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_plugin::{Admission, Permit};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits under `agent.limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitOptions {
    /// The maximum number of concurrent polls of the agent.
    pub max_concurrent_polls: usize,
    /// The maximum number of concurrent polls of one endpoint.
    pub max_concurrent_polls_per_endpoint: usize,
    /// The maximum number of resources of one discovery run.
    pub max_resources_per_discovery: usize,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            max_concurrent_polls: 64,
            max_concurrent_polls_per_endpoint: 8,
            max_resources_per_discovery: 2_000_000,
        }
    }
}

/// Issues permits for polls.
#[derive(Debug)]
pub struct Limits {
    options: LimitOptions,
    polls: Arc<Semaphore>,
    endpoints: Arc<Endpoints>,
}

/// The permits of one poll. Dropping them releases them.
#[derive(Debug)]
pub struct PollPermits {
    _endpoint: Option<EndpointPermit>,
    _poll: Option<OwnedSemaphorePermit>,
}

impl Limits {
    /// Creates limits with all permits available.
    pub fn new(options: LimitOptions) -> Self {
        let polls = Arc::new(Semaphore::new(options.max_concurrent_polls.max(1)));
        let endpoints = Endpoints {
            permits: options.max_concurrent_polls_per_endpoint.max(1),
            used: Mutex::default(),
        };
        Self {
            options,
            polls,
            endpoints: Arc::new(endpoints),
        }
    }

    /// The configured limits.
    pub fn options(&self) -> &LimitOptions {
        &self.options
    }

    /// Waits for the permits of a poll. The endpoint's permit comes first: a poll that waits for a slow endpoint holds no
    /// permit of the agent.
    pub async fn acquire(&self, endpoint: Option<&Arc<str>>) -> PollPermits {
        let endpoint = match endpoint {
            Some(endpoint) => Some(self.endpoints.clone().acquire(endpoint).await),
            None => None,
        };
        // The semaphores are never closed, so every wait ends with a permit.
        let poll = self.polls.clone().acquire_owned().await.ok();
        PollPermits {
            _endpoint: endpoint,
            _poll: poll,
        }
    }

    /// Creates the issuer of permits for endpoints that a poll chooses for its resources. The poll already holds a permit
    /// for its `own` endpoint and needs no further one.
    pub fn admission(&self, own: Option<Arc<str>>) -> Arc<dyn Admission> {
        Arc::new(PollAdmission {
            endpoints: self.endpoints.clone(),
            own,
        })
    }

    /// The number of endpoints with a permit that is held or awaited.
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
        Permit::new(self.endpoints.clone().acquire(endpoint).await)
    }
}

/// The permits of all endpoints in use. Plugins name endpoints dynamically, so an endpoint without users is removed.
#[derive(Debug)]
struct Endpoints {
    /// The number of permits of each endpoint.
    permits: usize,
    used: Mutex<HashMap<Arc<str>, Used>>,
}

#[derive(Debug)]
struct Used {
    semaphore: Arc<Semaphore>,
    /// The number of users that hold a permit or wait for one.
    users: usize,
}

impl Endpoints {
    async fn acquire(self: Arc<Self>, endpoint: &Arc<str>) -> EndpointPermit {
        let (user, semaphore) = self.add_user(endpoint);
        EndpointPermit {
            _permit: semaphore.acquire_owned().await.ok(),
            _user: user,
        }
    }

    fn add_user(self: Arc<Self>, endpoint: &Arc<str>) -> (EndpointUser, Arc<Semaphore>) {
        let mut used = self.used.lock();
        let entry = used.entry(endpoint.clone()).or_insert_with(|| Used {
            semaphore: Arc::new(Semaphore::new(self.permits)),
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

/// A permit for an endpoint. It is released before the user is removed.
#[derive(Debug)]
struct EndpointPermit {
    _permit: Option<OwnedSemaphorePermit>,
    _user: EndpointUser,
}

/// A user that holds a permit for an endpoint, or waits for one.
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

    fn limits(per_endpoint: usize) -> Limits {
        Limits::new(LimitOptions {
            max_concurrent_polls_per_endpoint: per_endpoint,
            ..LimitOptions::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_has_a_limit_and_is_removed_when_it_has_no_users() {
        let limits = limits(2);
        let admission = limits.admission(None);
        let (here, there) = (Arc::from("here"), Arc::from("there"));
        let first = admission.admit(&here).await;
        let second = admission.admit(&here).await;
        assert!(
            timeout(SHORT, admission.admit(&here)).await.is_err(),
            "all permits are held"
        );
        assert_eq!(limits.endpoints(), 1, "a cancelled wait no longer counts");
        let other = timeout(SHORT, admission.admit(&there)).await.unwrap();
        assert_eq!(limits.endpoints(), 2);
        drop(first);
        let third = timeout(SHORT, admission.admit(&here)).await.unwrap();
        drop((second, third, other));
        assert_eq!(limits.endpoints(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_already_holds_the_permit_of_its_own_endpoint() {
        let limits = limits(1);
        let own: Arc<str> = "own".into();
        let permits = limits.acquire(Some(&own)).await;
        let admission = limits.admission(Some(own.clone()));
        let permit = timeout(SHORT, admission.admit(&own)).await.unwrap();
        let other = limits.admission(None);
        assert!(timeout(SHORT, other.admit(&own)).await.is_err());
        drop(permit);
        drop(permits);
        assert!(timeout(SHORT, other.admit(&own)).await.is_ok());
    }
}
