//! The request to load a configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::expand::Variables;

/// JSON schemas of options by name; `None` for plugins without options.
pub type Schemas = BTreeMap<String, Option<Value>>;

/// The parameters of loading.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// The files and folders of `--config`; later ones override earlier ones. If empty, the [`SearchPlaces`] are searched.
    pub paths: Vec<PathBuf>,
    /// Whether unknown keys in sources and at the top level are errors.
    pub strict: bool,
    /// Namespaces that override those in the files.
    pub namespaces: Option<Vec<String>>,
    /// Whether the command runs at a terminal, which falls back to the built-in configuration.
    pub terminal: bool,
    /// The search places.
    pub search: SearchPlaces,
    /// The built-in configuration.
    pub built_in: &'static str,
    /// The option schemas of plugin families, for the section `plugins`.
    pub families: Schemas,
    /// The option schemas of publishers by URL scheme.
    pub publishers: Schemas,
    /// The lookup of `${env:NAME}`.
    pub variables: Variables,
}

impl LoadRequest {
    /// Creates a request for the default places and the environment of this process.
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

/// The places to search, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPlaces {
    /// A file: `./polling.yaml`.
    pub file: PathBuf,
    /// A folder: `/etc/nephoscope`.
    pub folder: PathBuf,
    /// Ceilometer's file, used if the other places have no `sources`: `/etc/ceilometer/polling.yaml`.
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
