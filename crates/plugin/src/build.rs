//! The context in which the agent builds a plugin.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::options;
use crate::{BlockingPool, CallCounts, OptionsError};

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// This machine does not have what the plugin needs. The agent logs one line and continues.
    #[error("{0}")]
    Unavailable(String),
    /// The options are invalid. The agent does not start, or keeps its current configuration on a reload.
    #[error(transparent)]
    Options(#[from] OptionsError),
}

/// The state that the discoveries and pollsters of one family share, for example a connection or a session.
#[derive(Default, Clone)]
struct FamilyState(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl FamilyState {
    /// Returns the family's instance of `T`; the first caller creates it.
    fn get_or_insert<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut state = self.0.lock();
        let entry = state.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(make()));
        match entry.clone().downcast() {
            Ok(state) => state,
            // The map's key is the type of its value.
            Err(_) => unreachable!("the family's state is stored under its type"),
        }
    }
}

/// The options and the shared state of all families of an agent, and the counters of their calls. For the agent and the
/// testing kit.
#[derive(Default, Clone)]
pub struct Families {
    options: Arc<BTreeMap<String, serde_json::Value>>,
    states: Arc<Mutex<HashMap<String, FamilyState>>>,
    calls: CallCounts,
}

impl Families {
    /// Families with their options from `plugins:` and no shared state yet. Their calls are counted in `calls`.
    pub fn new(options: BTreeMap<String, serde_json::Value>, calls: CallCounts) -> Self {
        Self {
            options: Arc::new(options),
            states: Arc::default(),
            calls,
        }
    }

    fn state(&self, family: &str) -> FamilyState {
        self.states.lock().entry(family.to_owned()).or_default().clone()
    }
}

/// The context in which the agent builds a plugin.
pub struct BuildContext {
    host: Arc<str>,
    family: &'static str,
    /// Whether the plugin belongs to a family other than `family`.
    guest: bool,
    families: Families,
    blocking: BlockingPool,
}

impl BuildContext {
    /// Creates the context of a plugin of `family`. For the agent and the testing kit.
    pub fn new(host: Arc<str>, family: &'static str, families: Families, blocking: BlockingPool) -> Self {
        Self {
            host,
            family,
            guest: false,
            families,
            blocking,
        }
    }

    /// The name of this machine (`agent.host`).
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// Parses the family's options.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionsError> {
        let options = self.families.options.get(self.family);
        options::read(options.unwrap_or(&serde_json::Value::Null)).map_err(|error| self.attribute(error))
    }

    /// Adds the family to an options error when this is the context of another family.
    pub fn attribute(&self, error: OptionsError) -> OptionsError {
        OptionsError {
            family: error.family.or(self.guest.then_some(self.family)),
            ..error
        }
    }

    /// Returns the state that the family's discoveries and pollsters share; the first caller creates it.
    pub fn shared<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.families.state(self.family).get_or_insert(make)
    }

    /// Returns the context of another family whose options and shared state several families use: all families that poll
    /// one cloud share its session.
    pub fn family(&self, name: &'static str) -> Self {
        Self {
            host: self.host.clone(),
            family: name,
            guest: true,
            families: self.families.clone(),
            blocking: self.blocking.clone(),
        }
    }

    /// The counters of calls to services, for metrics.
    pub fn calls(&self) -> &CallCounts {
        &self.families.calls
    }

    /// The thread pool for blocking calls.
    pub fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }
}
