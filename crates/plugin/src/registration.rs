//! What a crate registers with the program that it is linked into: families with their options, discoveries, pollsters,
//! publishers.

use std::sync::Arc;

use nephoscope_model::MeterDef;

use crate::{
    BuildContext, BuildError, CallDef, Discovery, ExpandContext, Expansion, Names, OptionsError, OptionsSpec,
    PartitionMode, Pollster, Publisher, PublisherContext, Scope,
};

/// What a crate hands to [`crate::register!`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Registration {
    /// A plugin family: what stands under `plugins:`.
    Family(Family),
    /// A discovery.
    Discovery(DiscoveryPlugin),
    /// A pollster.
    Pollster(PollsterPlugin),
    /// A publisher.
    Publisher(PublisherPlugin),
    /// Names of projects and users.
    Names(NamesPlugin),
}

inventory::collect!(Registration);

/// Makes definitions of a family from its options, and from files that these name.
pub type Expand = fn(&ExpandContext<'_>) -> Result<Expansion, OptionsError>;

/// The discoveries and pollsters of one crate, and the options that they share.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Family {
    /// The key under `plugins:`, for example `libvirt`.
    pub name: &'static str,
    /// One line for the reference.
    pub description: &'static str,
    /// Loads only when `plugins:` has the family's name or `agent.namespaces` has it as a namespace.
    pub opt_in: bool,
    /// The options under `plugins: {name: ...}`.
    pub options: Option<OptionsSpec>,
    /// Makes discoveries and pollsters beside those that are registered.
    pub expand: Option<Expand>,
}

impl Family {
    /// A family without options, that loads with its namespaces. The description is one line for the reference.
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            opt_in: false,
            options: None,
            expand: None,
        }
    }

    /// Loads only when `plugins:` has the family's name or `agent.namespaces` has it as a namespace.
    #[must_use]
    pub const fn opt_in(mut self) -> Self {
        self.opt_in = true;
        self
    }

    /// What may stand under `plugins: {name: ...}`.
    #[must_use]
    pub const fn options(mut self, options: OptionsSpec) -> Self {
        self.options = Some(options);
        self
    }

    /// Makes further discoveries and pollsters when a configuration is loaded. It is called at each load: by every
    /// command that reads the configuration, at the start, and at each reload. It reads files by its context alone, asks
    /// no network, and starts nothing.
    #[must_use]
    pub const fn expand(mut self, expand: Expand) -> Self {
        self.expand = Some(expand);
        self
    }

    /// Whether the family loads anything: where it does not load by itself, only when it is `named` under `plugins:` or
    /// its name is one of the namespaces.
    pub fn is_enabled(&self, named: bool, namespaces: &[String]) -> bool {
        !self.opt_in || named || namespaces.iter().any(|namespace| namespace == self.name)
    }
}

/// A discovery as it is registered.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DiscoveryPlugin {
    /// The name in discovery URLs: `name` or `name://parameter`.
    pub name: &'static str,
    /// The family that it belongs to.
    pub family: &'static str,
    /// The namespaces that load it.
    pub namespaces: &'static [&'static str],
    /// One line for the reference.
    pub description: &'static str,
    /// Whose resources it lists.
    pub scope: Scope,
    /// How its listings are divided, unless a source says otherwise.
    pub partition: PartitionMode,
    /// What it calls.
    pub calls: &'static [CallDef],
    /// Makes it.
    pub build: fn(&BuildContext) -> Result<Arc<dyn Discovery>, BuildError>,
}

impl DiscoveryPlugin {
    /// A discovery of this name, of this family. It lists what belongs to this host, divides by resource and calls nothing,
    /// unless said otherwise; what loads it is still to be said ([`DiscoveryPlugin::namespaces`]).
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

    /// The namespaces that load it.
    #[must_use]
    pub const fn namespaces(mut self, namespaces: &'static [&'static str]) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// One line for the reference.
    #[must_use]
    pub const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Whose resources it lists.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// How its listings are divided, unless a source says otherwise.
    #[must_use]
    pub const fn partition(mut self, partition: PartitionMode) -> Self {
        self.partition = partition;
        self
    }

    /// What it calls.
    #[must_use]
    pub const fn calls(mut self, calls: &'static [CallDef]) -> Self {
        self.calls = calls;
        self
    }
}

/// A pollster as it is registered.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PollsterPlugin {
    /// Its name, part of the identity of samples; one pollster may serve many meters.
    pub name: &'static str,
    /// The family that it belongs to.
    pub family: &'static str,
    /// The namespaces that load it.
    pub namespaces: &'static [&'static str],
    /// One line for the reference.
    pub description: &'static str,
    /// The meters that it can measure.
    pub meters: &'static [MeterDef],
    /// The discovery URL that is asked where a source gives no resources of its own.
    pub default_discovery: Option<&'static str>,
    /// What it measures at: polls of one endpoint share a limit on how many run at once
    /// (`agent.limits.max_concurrent_polls_per_endpoint`). `None`: only the agent's limit counts, and that of each endpoint that the pollster
    /// asks for itself ([`crate::PollContext::admit`]).
    pub endpoint: Option<&'static str>,
    /// What it calls.
    pub calls: &'static [CallDef],
    /// Makes it.
    pub build: fn(&BuildContext) -> Result<Arc<dyn Pollster>, BuildError>,
}

impl PollsterPlugin {
    /// A pollster of this name, of this family; what loads it and what it measures is still to be said
    /// ([`PollsterPlugin::namespaces`], [`PollsterPlugin::meters`]).
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

    /// The namespaces that load it.
    #[must_use]
    pub const fn namespaces(mut self, namespaces: &'static [&'static str]) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// One line for the reference.
    #[must_use]
    pub const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// The meters that it can measure.
    #[must_use]
    pub const fn meters(mut self, meters: &'static [MeterDef]) -> Self {
        self.meters = meters;
        self
    }

    /// The discovery URL that is asked where a source gives no resources of its own.
    #[must_use]
    pub const fn default_discovery(mut self, url: &'static str) -> Self {
        self.default_discovery = Some(url);
        self
    }

    /// What it measures at: polls of one endpoint share a limit on how many run at once.
    #[must_use]
    pub const fn endpoint(mut self, endpoint: &'static str) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// What it calls.
    #[must_use]
    pub const fn calls(mut self, calls: &'static [CallDef]) -> Self {
        self.calls = calls;
        self
    }
}

/// A plugin that knows the names of projects and users, as it is registered.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NamesPlugin {
    /// Its name.
    pub name: &'static str,
    /// The family that it belongs to.
    pub family: &'static str,
    /// The namespaces that load it.
    pub namespaces: &'static [&'static str],
    /// What it calls.
    pub calls: &'static [CallDef],
    /// Makes it; `None` where the options do not ask for names.
    pub build: fn(&BuildContext) -> Result<Option<Names>, BuildError>,
}

impl NamesPlugin {
    /// One of this name, of this family; what loads it is still to be said ([`NamesPlugin::namespaces`]).
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

    /// The namespaces that load it.
    #[must_use]
    pub const fn namespaces(mut self, namespaces: &'static [&'static str]) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// What it calls.
    #[must_use]
    pub const fn calls(mut self, calls: &'static [CallDef]) -> Self {
        self.calls = calls;
        self
    }
}

/// A publisher as it is registered.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PublisherPlugin {
    /// The URL schemes that it serves, for example `file`.
    pub schemes: &'static [&'static str],
    /// One line for the reference.
    pub description: &'static str,
    /// The options beside `name` and `url`.
    pub options: Option<OptionsSpec>,
    /// Whether it has a spool where the configuration does not say: its place is another machine, which may be away
    /// for long. It must have a [`Publisher::encoding`].
    pub spool: bool,
    /// Makes it.
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

    /// What may stand beside `name` and `url`.
    #[must_use]
    pub const fn options(mut self, options: OptionsSpec) -> Self {
        self.options = Some(options);
        self
    }

    /// It has a spool where the configuration does not say: its place is another machine, which may be away for long.
    #[must_use]
    pub const fn spool(mut self) -> Self {
        self.spool = true;
        self
    }
}
