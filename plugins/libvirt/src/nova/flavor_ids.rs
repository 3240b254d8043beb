//! Ids of flavors by name, for domains with only the name, as Nova wrote them before 2025.2.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use nephoscope_model::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::events;
use crate::nova::age::is_old;
use crate::nova::api::Api;

/// An unknown name is requested again after this time: its flavor may be new.
const PAUSE: Duration = Duration::from_secs(600);

/// The pause after a failed request.
const FAILURE_PAUSE: Duration = Duration::from_secs(60);

/// The cached ids. Only names that domains use are stored.
pub(crate) struct FlavorIds {
    api: Api,
    expiry: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ids: HashMap<String, String>,
    requested: Option<Timestamp>,
    listed: Option<Timestamp>,
}

/// An entry of Nova's list.
#[derive(Deserialize)]
struct Entry {
    id: String,
    name: String,
}

impl FlavorIds {
    pub(crate) fn new(api: Api, expiry: Duration) -> Self {
        Self {
            api,
            expiry,
            state: Mutex::default(),
        }
    }

    /// Returns the id of the flavor of this name, if it is known.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.state.lock().ids.get(name).cloned()
    }

    /// Requests the flavors if a name is unknown or the list has expired. The previous ids remain in use if the request
    /// fails.
    pub(crate) async fn refresh(&self, names: &BTreeSet<&str>, now: Timestamp, until: Instant) {
        {
            let mut state = self.state.lock();
            if !self.is_due(&state, names, now) {
                return;
            }
            // Prevents a concurrent request of another cycle.
            state.requested = Some(now);
        }
        let error = match timeout_at(until, self.list(names)).await {
            Ok(Ok(ids)) => {
                let mut state = self.state.lock();
                state.ids = ids;
                state.listed = Some(now);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        events::flavor_list_failed(&error);
    }

    fn is_due(&self, state: &State, names: &BTreeSet<&str>, now: Timestamp) -> bool {
        let Some(requested) = state.requested else {
            return !names.is_empty();
        };
        let has_failed = state.listed != Some(requested);
        let pause = if has_failed { FAILURE_PAUSE } else { PAUSE };
        if names.is_empty() || !is_old(now, Some(requested), pause) {
            return false;
        }
        let is_unknown = |name: &&str| !state.ids.contains_key(*name);
        names.iter().any(is_unknown) || is_old(now, state.listed, self.expiry)
    }

    async fn list(
        &self,
        names: &BTreeSet<&str>,
    ) -> Result<HashMap<String, String>, nephoscope_openstack::ApiError> {
        let mut listing = self.api.flavors();
        let mut ids = HashMap::new();
        while let Some(Entry { id, name }) = listing.next().await? {
            if names.contains(name.as_str()) {
                ids.insert(name, id);
            }
        }
        Ok(ids)
    }
}
