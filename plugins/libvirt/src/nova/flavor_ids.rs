//! The ids of flavors, by name: for domains into which Nova wrote only the name, as it did before 2025.2.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use nephoscope_model::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::events;
use crate::nova::age::is_old;
use crate::nova::api::Api;

/// A name that Nova does not know is asked for again after this time: its flavor may just have been made.
const PAUSE: Duration = Duration::from_secs(600);

/// After an attempt in vain Nova is left alone for this time.
const PAUSE_OF_FAILURE: Duration = Duration::from_secs(60);

/// What Nova has told. Only names that domains have are kept.
pub(crate) struct FlavorIds {
    api: Api,
    expiry: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ids: HashMap<String, String>,
    asked: Option<Timestamp>,
    listed: Option<Timestamp>,
}

/// An entry of Nova's listing.
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

    /// The id of the flavor of this name, if Nova has told it.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.state.lock().ids.get(name).cloned()
    }

    /// Asks Nova if there is a name that it has not told of, or that was long ago. What was told before stands if it tells
    /// nothing now.
    pub(crate) async fn learn(&self, names: &BTreeSet<&str>, now: Timestamp, until: Instant) {
        {
            let mut state = self.state.lock();
            if !self.is_due(&state, names, now) {
                return;
            }
            // Another cycle does not ask at the same time.
            state.asked = Some(now);
        }
        let error = match timeout_at(until, self.list(names)).await {
            Ok(Ok(ids)) => {
                let mut state = self.state.lock();
                state.ids = ids;
                state.listed = Some(now);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        events::flavors_not_listed(&error);
    }

    fn is_due(&self, state: &State, names: &BTreeSet<&str>, now: Timestamp) -> bool {
        let Some(asked) = state.asked else {
            return !names.is_empty();
        };
        let has_failed = state.listed != Some(asked);
        let pause = if has_failed { PAUSE_OF_FAILURE } else { PAUSE };
        if names.is_empty() || !is_old(now, Some(asked), pause) {
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
