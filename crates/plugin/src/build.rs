//! What a plugin is given when the agent loads it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::options;
use crate::{BlockingPool, OptionsError};

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
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
pub struct FamilyState(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl FamilyState {
    /// The family's one `T`, made by the first that asks.
    pub fn get_or_insert<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut state = self.0.lock();
        let entry = state.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(make()));
        match entry.clone().downcast() {
            Ok(state) => state,
            // The map's key is the type of its value.
            Err(_) => unreachable!("a family's state is kept by its type"),
        }
    }
}

/// What a plugin is given when the agent loads it.
pub struct BuildContext {
    host: Arc<str>,
    options: serde_json::Value,
    state: FamilyState,
    blocking: BlockingPool,
}

impl BuildContext {
    /// For the agent and the testing kit: `options` is what stands under `plugins: {family: ...}`, null
    /// if nothing does.
    pub fn new(
        host: Arc<str>,
        options: serde_json::Value,
        state: FamilyState,
        blocking: BlockingPool,
    ) -> Self {
        Self {
            host,
            options,
            state,
            blocking,
        }
    }

    /// `agent.host`: the name under which this machine is known.
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// The family's options.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionsError> {
        options::read(&self.options)
    }

    /// What the discoveries and pollsters of the family share, made by the first that asks.
    pub fn shared<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.state.get_or_insert(make)
    }

    /// Threads for calls that block.
    pub fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }
}
