//! Discoveries and pollsters as the catalog has them: compiled in, or made by a family when a configuration is loaded.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use nephoscope_model::Meter;

use crate::{
    BuildContext, BuildError, Call, Discovery, DiscoveryPlugin, Location, PartitionMode, Pollster,
    PollsterPlugin, Scope,
};

/// Makes a plugin of a definition.
type Factory<T> = Arc<dyn Fn(&BuildContext) -> Result<Arc<T>, BuildError> + Send + Sync>;

/// Everything that is known of a discovery before it is made.
#[derive(Clone)]
#[non_exhaustive]
pub struct DiscoveryDefinition {
    /// The name in discovery URLs.
    pub name: Arc<str>,
    /// The namespaces that load it.
    pub namespaces: Vec<Cow<'static, str>>,
    /// One line for people.
    pub description: Cow<'static, str>,
    /// Whose resources it lists.
    pub scope: Scope,
    /// How its listings are divided, unless a source says otherwise.
    pub partition: PartitionMode,
    /// What it calls.
    pub calls: Arc<[Call]>,
    /// Where it is defined; `None` if it is compiled in.
    pub location: Option<Location>,
    pub(super) family: &'static str,
    factory: Factory<dyn Discovery>,
}

impl DiscoveryDefinition {
    /// A discovery of this name, which `build` makes. It lists what belongs to this host, divides by resource and calls
    /// nothing, unless said otherwise.
    pub fn new(
        name: impl Into<Arc<str>>,
        build: impl Fn(&BuildContext) -> Result<Arc<dyn Discovery>, BuildError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            namespaces: Vec::new(),
            description: Cow::Borrowed(""),
            scope: Scope::Host,
            partition: PartitionMode::Resource,
            calls: Arc::default(),
            location: None,
            family: "",
            factory: Arc::new(build),
        }
    }

    /// The namespaces that load it.
    #[must_use]
    pub fn namespaces<T: Into<Cow<'static, str>>>(mut self, namespaces: impl IntoIterator<Item = T>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self
    }

    /// One line for people.
    #[must_use]
    pub fn description(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.description = description.into();
        self
    }

    /// Whose resources it lists.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// How its listings are divided, unless a source says otherwise.
    #[must_use]
    pub fn partition(mut self, partition: PartitionMode) -> Self {
        self.partition = partition;
        self
    }

    /// What it calls.
    #[must_use]
    pub fn calls(mut self, calls: impl IntoIterator<Item = Call>) -> Self {
        self.calls = calls.into_iter().collect();
        self
    }

    /// Where it is defined.
    #[must_use]
    pub fn defined_at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// The family that it belongs to.
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// When this machine lacks what it needs, or the options are wrong.
    pub fn build(&self, context: &BuildContext) -> Result<Arc<dyn Discovery>, BuildError> {
        (self.factory)(context)
    }
}

impl From<&DiscoveryPlugin> for DiscoveryDefinition {
    fn from(plugin: &DiscoveryPlugin) -> Self {
        Self {
            family: plugin.family,
            ..Self::new(plugin.name, plugin.build)
                .namespaces(plugin.namespaces.iter().copied())
                .description(plugin.description)
                .scope(plugin.scope)
                .partition(plugin.partition)
                .calls(plugin.calls.iter().map(Call::from))
        }
    }
}

impl fmt::Debug for DiscoveryDefinition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DiscoveryDefinition")
            .field("name", &self.name)
            .field("family", &self.family)
            .field("namespaces", &self.namespaces)
            .field("description", &self.description)
            .field("scope", &self.scope)
            .field("partition", &self.partition)
            .field("calls", &self.calls)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// Everything that is known of a pollster before it is made.
#[derive(Clone)]
#[non_exhaustive]
pub struct PollsterDefinition {
    /// Its name, part of the identity of its samples.
    pub name: Arc<str>,
    /// The namespaces that load it.
    pub namespaces: Vec<Cow<'static, str>>,
    /// One line for people.
    pub description: Cow<'static, str>,
    /// The meters that it can measure.
    pub meters: Vec<Arc<Meter>>,
    /// The discovery URL that is asked where a source gives no resources of its own.
    pub default_discovery: Option<Arc<str>>,
    /// How what it reads is divided among agents, if not as the discovery says; a source may say otherwise.
    pub partition: Option<PartitionMode>,
    /// What it measures at, as in [`PollsterPlugin::endpoint`].
    pub endpoint: Option<Arc<str>>,
    /// What it calls.
    pub calls: Arc<[Call]>,
    /// Where it is defined; `None` if it is compiled in.
    pub location: Option<Location>,
    pub(super) family: &'static str,
    factory: Factory<dyn Pollster>,
}

impl PollsterDefinition {
    /// A pollster of this name, which `build` makes; what loads it and what it measures is still to be said
    /// ([`PollsterDefinition::namespaces`], [`PollsterDefinition::meters`]).
    pub fn new(
        name: impl Into<Arc<str>>,
        build: impl Fn(&BuildContext) -> Result<Arc<dyn Pollster>, BuildError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            namespaces: Vec::new(),
            description: Cow::Borrowed(""),
            meters: Vec::new(),
            default_discovery: None,
            partition: None,
            endpoint: None,
            calls: Arc::default(),
            location: None,
            family: "",
            factory: Arc::new(build),
        }
    }

    /// The namespaces that load it.
    #[must_use]
    pub fn namespaces<T: Into<Cow<'static, str>>>(mut self, namespaces: impl IntoIterator<Item = T>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self
    }

    /// One line for people.
    #[must_use]
    pub fn description(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.description = description.into();
        self
    }

    /// The meters that it can measure.
    #[must_use]
    pub fn meters(mut self, meters: impl IntoIterator<Item = Meter>) -> Self {
        self.meters = meters.into_iter().map(Arc::new).collect();
        self
    }

    /// The discovery URL that is asked where a source gives no resources of its own.
    #[must_use]
    pub fn default_discovery(mut self, url: impl Into<Arc<str>>) -> Self {
        self.default_discovery = Some(url.into());
        self
    }

    /// How what it reads is divided among agents, if not as the discovery says; a source may say otherwise.
    #[must_use]
    pub fn partition(mut self, partition: PartitionMode) -> Self {
        self.partition = Some(partition);
        self
    }

    /// What it measures at: polls of one endpoint share a limit on how many run at once.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<Arc<str>>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// What it calls.
    #[must_use]
    pub fn calls(mut self, calls: impl IntoIterator<Item = Call>) -> Self {
        self.calls = calls.into_iter().collect();
        self
    }

    /// Where it is defined.
    #[must_use]
    pub fn defined_at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// The family that it belongs to.
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// When this machine lacks what it needs, or the options are wrong.
    pub fn build(&self, context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
        (self.factory)(context)
    }
}

impl From<&PollsterPlugin> for PollsterDefinition {
    fn from(plugin: &PollsterPlugin) -> Self {
        Self {
            family: plugin.family,
            default_discovery: plugin.default_discovery.map(Into::into),
            endpoint: plugin.endpoint.map(Into::into),
            ..Self::new(plugin.name, plugin.build)
                .namespaces(plugin.namespaces.iter().copied())
                .description(plugin.description)
                .meters(plugin.meters.iter().map(Meter::from))
                .calls(plugin.calls.iter().map(Call::from))
        }
    }
}

impl fmt::Debug for PollsterDefinition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PollsterDefinition")
            .field("name", &self.name)
            .field("family", &self.family)
            .field("namespaces", &self.namespaces)
            .field("description", &self.description)
            .field("meters", &self.meters)
            .field("default_discovery", &self.default_discovery)
            .field("partition", &self.partition)
            .field("endpoint", &self.endpoint)
            .field("calls", &self.calls)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
