//! Discoveries and pollsters in the catalog: compiled in, or defined by a family when a configuration is loaded.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use nephoscope_model::Meter;

use crate::{
    BuildContext, BuildError, Call, Discovery, DiscoveryPlugin, Location, PartitionMode, Pollster,
    PollsterPlugin, Scope,
};

/// Builds a plugin from its definition.
type Factory<T> = Arc<dyn Fn(&BuildContext) -> Result<Arc<T>, BuildError> + Send + Sync>;

/// The definition of a discovery.
#[derive(Clone)]
#[non_exhaustive]
pub struct DiscoveryDefinition {
    /// The name in discovery URLs.
    pub name: Arc<str>,
    /// The namespaces that load it.
    pub namespaces: Vec<Cow<'static, str>>,
    /// A one-line description.
    pub description: Cow<'static, str>,
    /// Whether it lists the host's own resources or shared ones.
    pub scope: Scope,
    /// How its resources are divided among agents. A source can override it.
    pub partition: PartitionMode,
    /// The calls that it makes.
    pub calls: Arc<[Call]>,
    /// The location of its definition; `None` if it is compiled in.
    pub location: Option<Location>,
    pub(super) family: &'static str,
    factory: Factory<dyn Discovery>,
}

impl DiscoveryDefinition {
    /// A discovery of this name, built by `build`. Default: it lists the host's own resources, is divided by resource and
    /// makes no calls.
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

    /// Sets the namespaces that load it.
    #[must_use]
    pub fn namespaces<T: Into<Cow<'static, str>>>(mut self, namespaces: impl IntoIterator<Item = T>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the one-line description.
    #[must_use]
    pub fn description(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets whether it lists the host's own resources or shared ones.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets how its resources are divided among agents. A source can override it.
    #[must_use]
    pub fn partition(mut self, partition: PartitionMode) -> Self {
        self.partition = partition;
        self
    }

    /// Sets the calls that it makes.
    #[must_use]
    pub fn calls(mut self, calls: impl IntoIterator<Item = Call>) -> Self {
        self.calls = calls.into_iter().collect();
        self
    }

    /// Sets the location of its definition.
    #[must_use]
    pub fn defined_at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Its family.
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// Builds the plugin.
    ///
    /// # Errors
    ///
    /// When this machine lacks what it needs, or the options are invalid.
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

/// The definition of a pollster.
#[derive(Clone)]
#[non_exhaustive]
pub struct PollsterDefinition {
    /// Its name, part of the identity of its samples.
    pub name: Arc<str>,
    /// The namespaces that load it.
    pub namespaces: Vec<Cow<'static, str>>,
    /// A one-line description.
    pub description: Cow<'static, str>,
    /// The meters that it can measure.
    pub meters: Vec<Arc<Meter>>,
    /// The discovery URL that is used when a source lists no resources.
    pub default_discovery: Option<Arc<str>>,
    /// How its resources are divided among agents; `None`: as the discovery declares. A source can override it.
    pub partition: Option<PartitionMode>,
    /// The endpoint that it polls, as in [`PollsterPlugin::endpoint`].
    pub endpoint: Option<Arc<str>>,
    /// The calls that it makes.
    pub calls: Arc<[Call]>,
    /// The location of its definition; `None` if it is compiled in.
    pub location: Option<Location>,
    pub(super) family: &'static str,
    factory: Factory<dyn Pollster>,
}

impl PollsterDefinition {
    /// A pollster of this name, built by `build`. Set the namespaces that load it and its meters with
    /// [`PollsterDefinition::namespaces`] and [`PollsterDefinition::meters`].
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

    /// Sets the namespaces that load it.
    #[must_use]
    pub fn namespaces<T: Into<Cow<'static, str>>>(mut self, namespaces: impl IntoIterator<Item = T>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the one-line description.
    #[must_use]
    pub fn description(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the meters that it can measure.
    #[must_use]
    pub fn meters(mut self, meters: impl IntoIterator<Item = Meter>) -> Self {
        self.meters = meters.into_iter().map(Arc::new).collect();
        self
    }

    /// Sets the discovery URL that is used when a source lists no resources.
    #[must_use]
    pub fn default_discovery(mut self, url: impl Into<Arc<str>>) -> Self {
        self.default_discovery = Some(url.into());
        self
    }

    /// Sets how its resources are divided among agents. A source can override it.
    #[must_use]
    pub fn partition(mut self, partition: PartitionMode) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the endpoint that it polls. Polls of one endpoint share a limit on concurrent polls.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<Arc<str>>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the calls that it makes.
    #[must_use]
    pub fn calls(mut self, calls: impl IntoIterator<Item = Call>) -> Self {
        self.calls = calls.into_iter().collect();
        self
    }

    /// Sets the location of its definition.
    #[must_use]
    pub fn defined_at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Its family.
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// Builds the plugin.
    ///
    /// # Errors
    ///
    /// When this machine lacks what it needs, or the options are invalid.
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
