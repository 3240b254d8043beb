//! What to load, and where to look for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::expand::Variables;

/// JSON schemas of options by name; none for what has no options.
pub type Schemas = BTreeMap<String, Option<Value>>;

/// What to load.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// Files and folders as named by `--config`; later ones win. None: the [`SearchPlaces`] are searched.
    pub paths: Vec<PathBuf>,
    /// Whether unknown keys in sources and at the top are errors.
    pub strict: bool,
    /// Namespaces that take the place of those in the files.
    pub namespaces: Option<Vec<String>>,
    /// Whether a person at a terminal waits for it: they get the built-in configuration if there is no other.
    pub terminal: bool,
    /// Where to search.
    pub search: SearchPlaces,
    /// The built-in configuration.
    pub built_in: &'static str,
    /// The option schemas of plugin families: what may stand under `plugins`.
    pub families: Schemas,
    /// The option schemas of publishers by URL scheme.
    pub publishers: Schemas,
    /// Where `${env:NAME}` is looked up.
    pub variables: Variables,
}

impl LoadRequest {
    /// Loads from the usual places, with the environment of this process.
    pub fn new(built_in: &'static str) -> Self {
        Self {
            paths: Vec::new(),
            strict: false,
            namespaces: None,
            terminal: false,
            search: SearchPlaces::default(),
            built_in,
            families: Schemas::new(),
            publishers: Schemas::new(),
            variables: |name| std::env::var_os(name),
        }
    }
}

/// Where a configuration is searched, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPlaces {
    /// A file: `./polling.yaml`.
    pub file: PathBuf,
    /// A folder: `/etc/nephoscope`.
    pub folder: PathBuf,
    /// Ceilometer's file, if the places before gave no `sources`: `/etc/ceilometer/polling.yaml`.
    pub ceilometer: PathBuf,
}

impl Default for SearchPlaces {
    fn default() -> Self {
        Self {
            file: "polling.yaml".into(),
            folder: "/etc/nephoscope".into(),
            ceilometer: "/etc/ceilometer/polling.yaml".into(),
        }
    }
}
