//! What is registered: families with their options, discoveries, pollsters, publishers.

use std::collections::BTreeMap;
use std::sync::Arc;

use nephoscope_model::{MeterDef, PartitionMode};

use crate::{
    BuildContext, BuildError, Discovery, IdentityKind, Names, OptionsSpec, Pollster, Publisher,
    PublisherContext,
};

/// What a crate hands to [`crate::register!`].
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

/// The discoveries and pollsters of one crate, and the options that they share.
pub struct Family {
    /// The key under `plugins:`, for example `libvirt`.
    pub name: &'static str,
    /// One line for the reference.
    pub description: &'static str,
    /// Loads only when `plugins:` has the family's name or `agent.namespaces` has it as a namespace.
    pub opt_in: bool,
    /// The options under `plugins: {name: ...}`.
    pub options: Option<OptionsSpec>,
}

/// Whose resources a discovery lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of this host: its group has one member by definition.
    Host,
    /// Those of a service that many agents see: they are divided among the agents.
    Shared,
}

/// A request or other access to the world outside that a plugin makes, for references, least roles and costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The service, for example `nova`, `libvirt`, `procfs`.
    pub service: &'static str,
    /// The method, for example `GET`, `read`, `virConnectGetAllDomainStats`.
    pub method: &'static str,
    /// The path template, for example `/v2.1/servers/detail`.
    pub path: &'static str,
    /// The least role that may make it, for example `reader`.
    pub role: &'static str,
    /// How often it is made.
    pub rate: CallRate,
}

/// How often a [`Call`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallRate {
    /// Once per cycle.
    PerCycle,
    /// Once per page of this many resources.
    PerPage(u32),
    /// Once per resource.
    PerResource,
    /// Once for each project or user of the samples, by each agent that has samples of it, and again in a cycle that
    /// comes after this many seconds.
    PerIdentity(IdentityKind, u32),
    /// About once an hour by each agent, however many plugins need it: tokens, versions.
    Hourly,
}

/// A discovery as it is registered.
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
    pub calls: &'static [Call],
    /// Makes it.
    pub build: fn(&BuildContext) -> Result<Arc<dyn Discovery>, BuildError>,
}

/// A pollster as it is registered.
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
    /// (`agent.limits.endpoint`). `None`: only the agent's limit counts.
    pub endpoint: Option<&'static str>,
    /// What it calls.
    pub calls: &'static [Call],
    /// Makes it.
    pub build: fn(&BuildContext) -> Result<Arc<dyn Pollster>, BuildError>,
}

/// A plugin that knows the names of projects and users, as it is registered.
pub struct NamesPlugin {
    /// Its name.
    pub name: &'static str,
    /// The family that it belongs to.
    pub family: &'static str,
    /// The namespaces that load it.
    pub namespaces: &'static [&'static str],
    /// What it calls.
    pub calls: &'static [Call],
    /// Makes it; `None` where the options do not ask for names.
    pub build: fn(&BuildContext) -> Result<Option<Names>, BuildError>,
}

/// A publisher as it is registered.
pub struct PublisherPlugin {
    /// The URL schemes that it serves, for example `file`.
    pub schemes: &'static [&'static str],
    /// One line for the reference.
    pub description: &'static str,
    /// The options beside `name` and `url`.
    pub options: Option<OptionsSpec>,
    /// Whether it has a spool where the configuration does not say: its place is another machine, which may be away
    /// for long. It must have a [`Publisher::form`].
    pub spool: bool,
    /// Makes it.
    pub build: fn(&PublisherContext) -> Result<Arc<dyn Publisher>, BuildError>,
}

/// Two registrations that cannot live in one program.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RegistryError {
    /// Two of a kind have one name.
    #[error("two {kind} are registered as `{name}`")]
    Duplicate {
        /// Families, discoveries, pollsters or publishers.
        kind: &'static str,
        /// The name (for a discovery or pollster with its namespace: `namespace/name`).
        name: String,
    },
    /// A discovery or pollster names a family that is not registered.
    #[error("`{name}` belongs to the family `{family}`, which is not registered")]
    NoFamily {
        /// The discovery or pollster.
        name: &'static str,
        /// The family.
        family: &'static str,
    },
}

/// Everything that the program was built with, in the order of names: the linker's order means nothing.
#[derive(Default)]
pub struct Registry {
    /// By name.
    pub families: BTreeMap<&'static str, &'static Family>,
    /// Sorted by name, then family.
    pub discoveries: Vec<&'static DiscoveryPlugin>,
    /// Sorted by name, then family.
    pub pollsters: Vec<&'static PollsterPlugin>,
    /// Sorted by first scheme.
    pub publishers: Vec<&'static PublisherPlugin>,
    /// Sorted by name, then family. The first that has names is asked.
    pub names: Vec<&'static NamesPlugin>,
}

impl Registry {
    /// Collects what is linked into the program, and checks that names are unique (within a namespace for
    /// discoveries, pollsters and meters).
    pub fn collect() -> Result<Self, RegistryError> {
        Self::of(inventory::iter::<Registration>())
    }

    fn of(registrations: impl IntoIterator<Item = &'static Registration>) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        for registration in registrations {
            match registration {
                Registration::Family(family) => {
                    if registry.families.insert(family.name, family).is_some() {
                        return Err(duplicate("families", family.name.to_owned()));
                    }
                }
                Registration::Discovery(discovery) => registry.discoveries.push(discovery),
                Registration::Pollster(pollster) => registry.pollsters.push(pollster),
                Registration::Publisher(publisher) => registry.publishers.push(publisher),
                Registration::Names(names) => registry.names.push(names),
            }
        }
        registry
            .discoveries
            .sort_by_key(|discovery| (discovery.name, discovery.family));
        registry
            .pollsters
            .sort_by_key(|pollster| (pollster.name, pollster.family));
        registry
            .publishers
            .sort_by_key(|publisher| publisher.schemes.first().copied());
        registry.names.sort_by_key(|names| (names.name, names.family));
        registry.check()?;
        Ok(registry)
    }

    fn check(&self) -> Result<(), RegistryError> {
        let mut names = Unique::default();
        for discovery in &self.discoveries {
            self.check_family(discovery.name, discovery.family)?;
            for namespace in discovery.namespaces {
                names.add("discoveries", format!("{namespace}/{}", discovery.name))?;
            }
        }
        for pollster in &self.pollsters {
            self.check_family(pollster.name, pollster.family)?;
            for namespace in pollster.namespaces {
                names.add("pollsters", format!("{namespace}/{}", pollster.name))?;
                for meter in pollster.meters {
                    for name in std::iter::once(&meter.name).chain(meter.aliases) {
                        names.add("meters", format!("{namespace}/{name}"))?;
                    }
                }
            }
        }
        for plugin in &self.names {
            self.check_family(plugin.name, plugin.family)?;
        }
        for publisher in &self.publishers {
            for scheme in publisher.schemes {
                names.add("publishers", (*scheme).to_owned())?;
            }
        }
        Ok(())
    }

    fn check_family(&self, name: &'static str, family: &'static str) -> Result<(), RegistryError> {
        if self.families.contains_key(family) {
            return Ok(());
        }
        Err(RegistryError::NoFamily { name, family })
    }

    /// The publisher that serves a URL scheme.
    pub fn publisher(&self, scheme: &str) -> Option<&'static PublisherPlugin> {
        self.publishers
            .iter()
            .copied()
            .find(|publisher| publisher.schemes.contains(&scheme))
    }
}

#[derive(Default)]
struct Unique(std::collections::HashSet<(&'static str, String)>);

impl Unique {
    fn add(&mut self, kind: &'static str, name: String) -> Result<(), RegistryError> {
        if self.0.insert((kind, name.clone())) {
            return Ok(());
        }
        Err(duplicate(kind, name))
    }
}

fn duplicate(kind: &'static str, name: String) -> RegistryError {
    RegistryError::Duplicate { kind, name }
}
