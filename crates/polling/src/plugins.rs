//! The plugins that this agent has loaded: those of its namespaces, made with their options.

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

/// A discovery that is ready to be asked.
pub struct LoadedDiscovery {
    /// The name in discovery URLs.
    pub name: Arc<str>,
    /// Whose resources it lists.
    pub scope: Scope,
    /// How its listings are divided, unless a source says otherwise.
    pub partition: PartitionMode,
    /// What it declares to call.
    pub calls: Arc<[Call]>,
    /// The plugin.
    pub plugin: Arc<dyn Discovery>,
}

/// A pollster that is ready to be run.
pub struct LoadedPollster {
    /// Its name, part of the identity of its samples.
    pub name: Arc<str>,
    /// The namespaces that load it.
    pub namespaces: Arc<[Arc<str>]>,
    /// The meters that it can measure.
    pub meters: Vec<Arc<Meter>>,
    /// The discovery URL that is asked where a source gives no resources.
    pub default_discovery: Option<Arc<str>>,
    /// How what it reads is divided among agents, if not as the discovery says.
    pub partition: Option<PartitionMode>,
    /// Polls of one endpoint share a limit.
    pub endpoint: Option<Arc<str>>,
    /// What it declares to call.
    pub calls: Arc<[Call]>,
    /// The plugin.
    pub plugin: Arc<dyn Pollster>,
    /// Who knows the names of the projects and users of its samples; `None` where they are published without.
    pub names: Option<Arc<dyn IdentityNames>>,
}

/// The plugins of an agent.
#[derive(Default)]
pub struct Plugins {
    /// By name.
    pub discoveries: BTreeMap<Arc<str>, Arc<LoadedDiscovery>>,
    /// Sorted by name.
    pub pollsters: Vec<Arc<LoadedPollster>>,
    /// What is called for the names of projects and users; nothing where samples have none.
    pub names_calls: Vec<Call>,
    /// What could be loaded, and the definitions that were set aside.
    pub catalog: Catalog,
    /// What was not loaded, and why.
    pub unavailable: Vec<(Arc<str>, String)>,
    /// Threads for calls that block, by family: one whose calls hang takes no threads from the others.
    pub blocking: BTreeMap<Arc<str>, BlockingPool>,
    /// What they have called, since the start of the agent.
    pub calls: CallCounts,
}

/// Options that the plugins of a family do not take.
#[derive(Debug)]
pub struct LoadError {
    /// The family: where the options stand.
    pub family: &'static str,
    /// What is wrong.
    pub error: OptionsError,
}

/// Everything that is wrong with the options of plugins; at least one error.
#[derive(Debug, Default)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    /// All plugins of a family read the same options: what several find is said once.
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
        for (place, LoadError { family, error }) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}`{family}`: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// What is to be loaded.
pub struct LoadRequest<'a> {
    /// What can be loaded.
    pub catalog: &'a Catalog,
    /// The namespaces of this agent.
    pub namespaces: &'a [String],
    /// The options of each family under `plugins:`.
    pub options: &'a BTreeMap<String, serde_json::Value>,
    /// `agent.host`.
    pub host: Arc<str>,
    /// The plugins before a reload: threads that hang in their calls still count.
    pub before: Option<&'a Plugins>,
}

impl Plugins {
    /// Makes the discoveries and pollsters of the agent's namespaces. One that finds this machine not fit for
    /// it is left out, with one line in the log.
    ///
    /// # Errors
    /// All options that plugins do not take, at once.
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
            if let Some(plugin) = plugins.keep(built, &found.name, found.family(), &mut errors) {
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
                    .keep(built, found.name, found.family, &mut errors)
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
            if let Some(plugin) = plugins.keep(built, &found.name, found.family(), &mut errors) {
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

    fn keep<T>(
        &mut self,
        built: Result<T, BuildError>,
        plugin: &str,
        family: &'static str,
        errors: &mut LoadErrors,
    ) -> Option<T> {
        match built {
            Ok(built) => Some(built),
            Err(BuildError::Unavailable(reason)) => {
                // What several plugins of a family lack is said once.
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
            // A reason that later versions of the interface know.
            Err(other) => {
                self.unavailable.push((plugin.into(), other.to_string()));
                None
            }
        }
    }
}
