//! Registrations: the families with their options, discoveries, pollsters and publishers that a crate adds to a program.

use std::sync::Arc;

use nephoscope_model::MeterDef;

use crate::{
    BuildContext, BuildError, CallDef, Discovery, ExpandContext, Expansion, Names, OptionsError, OptionsSpec,
    PartitionMode, Pollster, Publisher, PublisherContext, Scope,
};

/// The argument of [`crate::register!`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Registration {
    /// A plugin family: a key under `plugins:`.
    Family(Family),
    /// A discovery.
    Discovery(DiscoveryPlugin),
    /// A pollster.
    Pollster(PollsterPlugin),
    /// A publisher.
    Publisher(PublisherPlugin),
    /// A resolver of names of projects and users.
    Names(NamesPlugin),
}

inventory::collect!(Registration);

/// Creates definitions of a family from its options, and from files that the options name.
pub type Expand = fn(&ExpandContext<'_>) -> Result<Expansion, OptionsError>;

/// The discoveries and pollsters of one crate, and their shared options.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Family {
    /// The key under `plugins:`, for example `libvirt`.
    pub name: &'static str,
    /// A one-line description for the reference.
    pub description: &'static str,
    /// Whether it loads only when `plugins:` has the family's name or `agent.namespaces` lists it.
    pub opt_in: bool,
    /// The options under `plugins: {name: ...}`.
    pub options: Option<OptionsSpec>,
    /// Creates discoveries and pollsters in addition to the registered ones.
    pub expand: Option<Expand>,
}

impl Family {
    /// A family without options that loads with its namespaces. The description is one line for the reference.
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            opt_in: false,
            options: None,
            expand: None,
        }
    }

    /// Makes the family load only when `plugins:` has its name or `agent.namespaces` lists it.
    #[must_use]
    pub const fn opt_in(mut self) -> Self {
        self.opt_in = true;
        self
    }

    /// Sets the options under `plugins: {name: ...}`.
    #[must_use]
    pub const fn options(mut self, options: OptionsSpec) -> Self {
        self.options = Some(options);
        self
    }

    /// Sets the function that creates further discoveries and pollsters when a configuration is loaded: by every command that
    /// reads the configuration, at the start, and at each reload. It reads files only through its context, uses no network,
    /// and starts nothing.
    #[must_use]
    pub const fn expand(mut self, expand: Expand) -> Self {
        self.expand = Some(expand);
        self
    }

    /// Whether the family is enabled: it loads by default, or it is `named` under `plugins:`, or its name is one of the
    /// namespaces.
    pub fn is_enabled(&self, named: bool, namespaces: &[String]) -> bool {
        !self.opt_in || named || namespaces.iter().any(|namespace| namespace == self.name)
    }
}

/// The registration of a discovery.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DiscoveryPlugin {
    /// The name in discovery URLs: `name` or `name://parameter`.
    pub name: &'static str,
    /// Its family.
    pub family: &'static str,
    /// The namespaces that load it.
    pub namespaces: &'static [&'static str],
    /// A one-line description for the reference.
    pub description: &'static str,
    /// Whether it lists the host's own resources or shared ones.
    pub scope: Scope,
    /// How its resources are divided among agents. A source can override it.
    pub partition: PartitionMode,
    /// The calls that it makes.
    pub calls: &'static [CallDef],
    /// Builds it.
    pub build: fn(&BuildContext) -> Result<Arc<dyn Discovery>, BuildError>,
}

impl DiscoveryPlugin {
    /// A discovery of this name and family. Default: it lists the host's own resources, is divided by resource and makes no
    /// calls. Set the namespaces that load it with [`DiscoveryPlugin::namespaces`].
    pub const fn new(
        name: &'static str,
        family: &'static str,
        build: fn(&BuildContext) -> Result<Arc<dyn Discovery>, BuildError>,
    ) -> Self {
        Self {
            name,
            family,
            namespaces: &[],
            description: "",
            scope: Scope::Host,
            partition: PartitionMode::Resource,
            calls: &[],
            build,
        }
    }

    /// Sets the namespaces that load it.
    #[must_use]
    pub const fn namespaces(mut self, namespaces: &'static [&'static str]) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// Sets the one-line description for the reference.
    #[must_use]
    pub const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Sets whether it lists the host's own resources or shared ones.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets how its resources are divided among agents. A source can override it.
    #[must_use]
    pub const fn partition(mut self, partition: PartitionMode) -> Self {
        self.partition = partition;
        self
    }

    /// Sets the calls that it makes.
    #[must_use]
    pub const fn calls(mut self, calls: &'static [CallDef]) -> Self {
        self.calls = calls;
        self
    }
}

/// The registration of a pollster.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PollsterPlugin {
    /// Its name, part of the identity of samples. One pollster can serve many meters.
    pub name: &'static str,
    /// Its family.
    pub family: &'static str,
    /// The namespaces that load it.
    pub namespaces: &'static [&'static str],
    /// A one-line description for the reference.
    pub description: &'static str,
    /// The meters that it can measure.
    pub meters: &'static [MeterDef],
    /// The discovery URL that is used when a source lists no resources.
    pub default_discovery: Option<&'static str>,
    /// The endpoint that it polls. Polls of one endpoint share a limit on concurrent polls
    /// (`agent.limits.max_concurrent_polls_per_endpoint`). `None`: only the agent's limit applies, and those of the endpoints
    /// for which the pollster requests permits itself ([`crate::PollContext::admit`]).
    pub endpoint: Option<&'static str>,
    /// The calls that it makes.
    pub calls: &'static [CallDef],
    /// Builds it.
    pub build: fn(&BuildContext) -> Result<Arc<dyn Pollster>, BuildError>,
}

impl PollsterPlugin {
    /// A pollster of this name and family. Set the namespaces that load it and its meters with
    /// [`PollsterPlugin::namespaces`] and [`PollsterPlugin::meters`].
    pub const fn new(
        name: &'static str,
        family: &'static str,
        build: fn(&BuildContext) -> Result<Arc<dyn Pollster>, BuildError>,
    ) -> Self {
        Self {
            name,
            family,
            namespaces: &[],
            description: "",
            meters: &[],
            default_discovery: None,
            endpoint: None,
            calls: &[],
            build,
        }
    }

    /// Sets the namespaces that load it.
    #[must_use]
    pub const fn namespaces(mut self, namespaces: &'static [&'static str]) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// Sets the one-line description for the reference.
    #[must_use]
    pub const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Sets the meters that it can measure.
    #[must_use]
    pub const fn meters(mut self, meters: &'static [MeterDef]) -> Self {
        self.meters = meters;
        self
    }

    /// Sets the discovery URL that is used when a source lists no resources.
    #[must_use]
    pub const fn default_discovery(mut self, url: &'static str) -> Self {
        self.default_discovery = Some(url);
        self
    }

    /// Sets the endpoint that it polls. Polls of one endpoint share a limit on concurrent polls.
    #[must_use]
    pub const fn endpoint(mut self, endpoint: &'static str) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Sets the calls that it makes.
    #[must_use]
    pub const fn calls(mut self, calls: &'static [CallDef]) -> Self {
        self.calls = calls;
        self
    }
}

/// The registration of a plugin that resolves names of projects and users.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NamesPlugin {
    /// Its name.
    pub name: &'static str,
    /// Its family.
    pub family: &'static str,
    /// The namespaces that load it.
    pub namespaces: &'static [&'static str],
    /// The calls that it makes.
    pub calls: &'static [CallDef],
    /// Builds it; `None` if the options do not enable names.
    pub build: fn(&BuildContext) -> Result<Option<Names>, BuildError>,
}

impl NamesPlugin {
    /// A resolver of this name and family. Set the namespaces that load it with [`NamesPlugin::namespaces`].
    pub const fn new(
        name: &'static str,
        family: &'static str,
        build: fn(&BuildContext) -> Result<Option<Names>, BuildError>,
    ) -> Self {
        Self {
            name,
            family,
            namespaces: &[],
            calls: &[],
            build,
        }
    }

    /// Sets the namespaces that load it.
    #[must_use]
    pub const fn namespaces(mut self, namespaces: &'static [&'static str]) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// Sets the calls that it makes.
    #[must_use]
    pub const fn calls(mut self, calls: &'static [CallDef]) -> Self {
        self.calls = calls;
        self
    }
}

/// The registration of a publisher.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PublisherPlugin {
    /// The URL schemes that it serves, for example `file`.
    pub schemes: &'static [&'static str],
    /// A one-line description for the reference.
    pub description: &'static str,
    /// The options other than `name` and `url`.
    pub options: Option<OptionsSpec>,
    /// Whether it has a spool by default: its destination is another machine, which may be unavailable for long. It must have
    /// a [`Publisher::encoding`].
    pub spool: bool,
    /// Builds it.
    pub build: fn(&PublisherContext) -> Result<Arc<dyn Publisher>, BuildError>,
}

impl PublisherPlugin {
    /// A publisher of these URL schemes, without options. The description is one line for the reference.
    pub const fn new(
        schemes: &'static [&'static str],
        description: &'static str,
        build: fn(&PublisherContext) -> Result<Arc<dyn Publisher>, BuildError>,
    ) -> Self {
        Self {
            schemes,
            description,
            options: None,
            spool: false,
            build,
        }
    }

    /// Sets the options other than `name` and `url`.
    #[must_use]
    pub const fn options(mut self, options: OptionsSpec) -> Self {
        self.options = Some(options);
        self
    }

    /// Gives it a spool by default: its destination is another machine, which may be unavailable for long.
    #[must_use]
    pub const fn spool(mut self) -> Self {
        self.spool = true;
        self
    }
}
