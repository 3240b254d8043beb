//! What a plugin is given when the agent loads it.

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
    /// This machine does not have what the plugin needs; the agent says so in one line and goes on.
    #[error("{0}")]
    Unavailable(String),
    /// The options are wrong; the agent does not start (or keeps the configuration it has).
    #[error(transparent)]
    Options(#[from] OptionsError),
}

/// What the discoveries and pollsters of one family share: a connection, a session.
#[derive(Default, Clone)]
struct FamilyState(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl FamilyState {
    /// The family's one `T`, made by the first that asks.
    fn get_or_insert<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut state = self.0.lock();
        let entry = state.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(make()));
        match entry.clone().downcast() {
            Ok(state) => state,
            // The map's key is the type of its value.
            Err(_) => unreachable!("a family's state is kept by its type"),
        }
    }
}

/// The options and the shared state of all families of an agent, and the counts of what they call; for the
/// agent and the testing kit.
#[derive(Default, Clone)]
pub struct Families {
    options: Arc<BTreeMap<String, serde_json::Value>>,
    states: Arc<Mutex<HashMap<String, FamilyState>>>,
    calls: CallCounts,
}

impl Families {
    /// Families with what stands for each under `plugins:`; nothing is shared yet. What they call is added
    /// to `calls`.
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

/// What a plugin is given when the agent loads it.
pub struct BuildContext {
    host: Arc<str>,
    family: &'static str,
    /// The plugin belongs to another family than the one that this context is of.
    guest: bool,
    families: Families,
    blocking: BlockingPool,
}

impl BuildContext {
    /// For the agent and the testing kit: the context of a plugin of `family`.
    pub fn new(host: Arc<str>, family: &'static str, families: Families, blocking: BlockingPool) -> Self {
        Self {
            host,
            family,
            guest: false,
            families,
            blocking,
        }
    }

    /// `agent.host`: the name under which this machine is known.
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// The family's options.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionsError> {
        let options = self.families.options.get(self.family);
        options::read(options.unwrap_or(&serde_json::Value::Null)).map_err(|error| self.place(error))
    }

    /// Says of an error in the options of another family that it stands there.
    pub fn place(&self, error: OptionsError) -> OptionsError {
        OptionsError {
            family: error.family.or(self.guest.then_some(self.family)),
            ..error
        }
    }

    /// What the discoveries and pollsters of the family share, made by the first that asks.
    pub fn shared<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.families.state(self.family).get_or_insert(make)
    }

    /// The context of another family, whose options and shared state several families use: all families
    /// that poll one cloud share its session.
    pub fn family(&self, name: &'static str) -> Self {
        Self {
            host: self.host.clone(),
            family: name,
            guest: true,
            families: self.families.clone(),
            blocking: self.blocking.clone(),
        }
    }

    /// Where calls to services are counted, for metrics.
    pub fn calls(&self) -> &CallCounts {
        &self.families.calls
    }

    /// Threads for calls that block.
    pub fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }
}
