//! The loaded plugins of this agent: those of its namespaces, built with their options.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use nephoscope_model::Meter;
use nephoscope_plugin::{
    BlockingPool, BuildContext, BuildError, Call, CallCounts, Catalog, Discovery, Families, IdentityNames,
    OptionsError, PartitionMode, Pollster, Scope,
};

use crate::events;

/// A loaded discovery.
pub struct LoadedDiscovery {
    /// The name in discovery URLs.
    pub name: Arc<str>,
    /// Whether it lists the host's own resources or shared ones.
    pub scope: Scope,
    /// How its resources are divided among agents. A source can override it.
    pub partition: PartitionMode,
    /// The calls that it declares.
    pub calls: Arc<[Call]>,
    /// The plugin.
    pub plugin: Arc<dyn Discovery>,
}

/// A loaded pollster.
pub struct LoadedPollster {
    /// Its name, part of the identity of its samples.
    pub name: Arc<str>,
    /// The namespaces that load it.
    pub namespaces: Arc<[Arc<str>]>,
    /// The meters that it can measure.
    pub meters: Vec<Arc<Meter>>,
    /// The discovery URL that is used when a source lists no resources.
    pub default_discovery: Option<Arc<str>>,
    /// How its resources are divided among agents; `None`: as the discovery declares.
    pub partition: Option<PartitionMode>,
    /// The endpoint. Polls of one endpoint share a limit.
    pub endpoint: Option<Arc<str>>,
    /// The calls that it declares.
    pub calls: Arc<[Call]>,
    /// The plugin.
    pub plugin: Arc<dyn Pollster>,
    /// The resolver of names of projects and users for its samples; `None`: the samples have no names.
    pub names: Option<Arc<dyn IdentityNames>>,
}

/// The loaded plugins of an agent.
#[derive(Default)]
pub struct Plugins {
    /// By name.
    pub discoveries: BTreeMap<Arc<str>, Arc<LoadedDiscovery>>,
    /// Sorted by name.
    pub pollsters: Vec<Arc<LoadedPollster>>,
    /// The calls that resolve names of projects and users; empty if names are not resolved.
    pub names_calls: Vec<Call>,
    /// The catalog: all available plugins, and the rejected definitions.
    pub catalog: Catalog,
    /// The plugins that were not loaded, with the reason.
    pub unavailable: Vec<(Arc<str>, String)>,
    /// The thread pools for blocking calls, one per family, so that hung calls of a family affect no other.
    pub blocking: BTreeMap<Arc<str>, BlockingPool>,
    /// The counters of calls since the start of the agent.
    pub calls: CallCounts,
}

/// Options that a plugin of a family rejects.
#[derive(Debug)]
pub struct LoadError {
    /// The family that the options belong to.
    pub family: &'static str,
    /// The error.
    pub error: OptionsError,
}

/// All option errors of plugins; at least one.
#[derive(Debug, Default)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    /// Adds an error, unless another plugin of the family has reported it: all plugins of a family read the same options.
    fn add(&mut self, family: &'static str, error: OptionsError) {
        let family = error.family.unwrap_or(family);
        let known = self.0.iter().any(|known| {
            (known.family, &known.error.path, &known.error.message) == (family, &error.path, &error.message)
        });
        if !known {
            self.0.push(LoadError { family, error });
        }
    }
}

impl IntoIterator for LoadErrors {
    type Item = LoadError;
    type IntoIter = std::vec::IntoIter<LoadError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, LoadError { family, error }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}`{family}`: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// The inputs for loading plugins.
pub struct LoadRequest<'a> {
    /// The available plugins.
    pub catalog: &'a Catalog,
    /// The namespaces of this agent.
    pub namespaces: &'a [String],
    /// The options of each family under `plugins:`.
    pub options: &'a BTreeMap<String, serde_json::Value>,
    /// `agent.host`.
    pub host: Arc<str>,
    /// The plugins before a reload: their hung calls still count.
    pub before: Option<&'a Plugins>,
}

impl Plugins {
    /// Builds the discoveries and pollsters of the agent's namespaces. A plugin that is unavailable on this machine is
    /// skipped with one line in the log.
    ///
    /// # Errors
    /// All invalid options together.
    pub fn load(request: &LoadRequest<'_>) -> Result<Self, LoadErrors> {
        let mut plugins = Self {
            catalog: request.catalog.clone(),
            ..Self::default()
        };
        let mut errors = LoadErrors::default();
        let calls = request
            .before
            .map(|before| before.calls.clone())
            .unwrap_or_default();
        let families = Families::new(request.options.clone(), calls.clone());
        let loads = |family: &str, namespaces: &[Cow<'static, str>]| {
            let named = request.options.contains_key(family);
            let family = request.catalog.family(family);
            family.is_none_or(|family| family.is_enabled(named, request.namespaces))
                && namespaces
                    .iter()
                    .any(|one| request.namespaces.iter().any(|wanted| wanted == one))
        };
        let mut blocking = request
            .before
            .map(|before| before.blocking.clone())
            .unwrap_or_default();
        let mut context = |family: &'static str| {
            BuildContext::new(
                request.host.clone(),
                family,
                families.clone(),
                blocking.entry(family.into()).or_default().clone(),
            )
        };
        for found in request.catalog.discoveries() {
            if !loads(found.family(), &found.namespaces) || plugins.discoveries.contains_key(&found.name) {
                continue;
            }
            let built = found.build(&context(found.family()));
            if let Some(plugin) = plugins.accept(built, &found.name, found.family(), &mut errors) {
                let name = found.name.clone();
                let (scope, partition) = (found.scope, found.partition);
                plugins.discoveries.insert(
                    name.clone(),
                    Arc::new(LoadedDiscovery {
                        name,
                        scope,
                        partition,
                        calls: found.calls.clone(),
                        plugin,
                    }),
                );
            }
        }
        let mut names = None;
        for found in request.catalog.names() {
            let namespaces: Vec<_> = found.namespaces.iter().map(|name| Cow::Borrowed(*name)).collect();
            if names.is_none() && loads(found.family, &namespaces) {
                let built = (found.build)(&context(found.family));
                names = plugins
                    .accept(built, found.name, found.family, &mut errors)
                    .flatten();
                if names.is_some() {
                    plugins.names_calls = found.calls.iter().map(Call::from).collect();
                }
            }
        }
        for found in request.catalog.pollsters() {
            if !loads(found.family(), &found.namespaces) {
                continue;
            }
            let built = found.build(&context(found.family()));
            if let Some(plugin) = plugins.accept(built, &found.name, found.family(), &mut errors) {
                plugins.pollsters.push(Arc::new(LoadedPollster {
                    name: found.name.clone(),
                    namespaces: found.namespaces.iter().map(|name| Arc::from(&**name)).collect(),
                    meters: found.meters.clone(),
                    default_discovery: found.default_discovery.clone(),
                    partition: found.partition,
                    endpoint: found.endpoint.clone(),
                    calls: found.calls.clone(),
                    plugin,
                    names: names.clone(),
                }));
            }
        }
        plugins.blocking = blocking;
        plugins.calls = calls;
        if errors.0.is_empty() {
            Ok(plugins)
        } else {
            Err(errors)
        }
    }

    fn accept<T>(
        &mut self,
        built: Result<T, BuildError>,
        plugin: &str,
        family: &'static str,
        errors: &mut LoadErrors,
    ) -> Option<T> {
        match built {
            Ok(built) => Some(built),
            Err(BuildError::Unavailable(reason)) => {
                // A reason that several plugins of a family share is logged once.
                if !self.unavailable.iter().any(|(_, known)| *known == reason) {
                    events::plugin_not_loaded(family, &reason);
                }
                self.unavailable.push((plugin.into(), reason));
                None
            }
            Err(BuildError::Options(error)) => {
                errors.add(family, error);
                None
            }
            // An error of a later version of the plugin API.
            Err(other) => {
                self.unavailable.push((plugin.into(), other.to_string()));
                None
            }
        }
    }
}
