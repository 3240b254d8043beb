//! The catalog: everything that a program can load, linked into it or defined by its families when a configuration is loaded.

mod definition;
mod expanded;
mod unique;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{DefinitionProblem, Family, NamesPlugin, PublisherPlugin, Registration};
use unique::{Conflict, UniqueNames};

pub use definition::{DiscoveryDefinition, PollsterDefinition};
pub use expanded::{ExpandRequest, Expanded};

/// Two registrations conflict.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogError {
    /// Two registrations of one kind have the same name.
    #[error("two {kind} are registered as `{name}`")]
    Duplicate {
        /// Families, discoveries, pollsters, meters or publishers.
        kind: &'static str,
        /// The name (for a discovery, pollster or meter with its namespace: `namespace/name`).
        name: String,
    },
    /// A discovery or pollster names a family that is not registered.
    #[error("`{name}` belongs to the family `{family}`, which is not registered")]
    NoFamily {
        /// The discovery or pollster.
        name: String,
        /// The family.
        family: &'static str,
    },
}

/// Everything that a program can load, sorted by name. The link order has no effect. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Catalog(Arc<Contents>);

#[derive(Debug, Clone, Default)]
struct Contents {
    families: BTreeMap<&'static str, Family>,
    /// Sorted by name, then family; so are the pollsters and the names.
    discoveries: Vec<Arc<DiscoveryDefinition>>,
    pollsters: Vec<Arc<PollsterDefinition>>,
    names: Vec<NamesPlugin>,
    /// Sorted by first scheme.
    publishers: Vec<PublisherPlugin>,
    rejected: Vec<DefinitionProblem>,
    /// Of everything that was read and defined beyond what is compiled in.
    digest: u64,
}

impl Catalog {
    /// Collects everything that is linked into the program.
    ///
    /// # Errors
    ///
    /// When names are not unique (within a namespace for discoveries, pollsters and meters), or a family is not registered.
    pub fn collect() -> Result<Self, CatalogError> {
        Self::of(inventory::iter::<Registration>().copied())
    }

    /// Builds a catalog from these registrations. For tests of programs with other plugins.
    ///
    /// # Errors
    ///
    /// As [`Catalog::collect`].
    pub fn of(registrations: impl IntoIterator<Item = Registration>) -> Result<Self, CatalogError> {
        let mut contents = Contents::default();
        for registration in registrations {
            match registration {
                Registration::Family(family) => {
                    if contents.families.insert(family.name, family).is_some() {
                        return Err(CatalogError::Duplicate {
                            kind: "families",
                            name: family.name.to_owned(),
                        });
                    }
                }
                Registration::Discovery(plugin) => contents.discoveries.push(Arc::new((&plugin).into())),
                Registration::Pollster(plugin) => contents.pollsters.push(Arc::new((&plugin).into())),
                Registration::Publisher(plugin) => contents.publishers.push(plugin),
                Registration::Names(plugin) => contents.names.push(plugin),
            }
        }
        contents.sort();
        contents.check()?;
        Ok(Self(Arc::new(contents)))
    }

    /// The families, sorted by name.
    pub fn families(&self) -> impl Iterator<Item = &Family> {
        self.0.families.values()
    }

    /// Returns the family of this name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.0.families.get(name)
    }

    /// The discoveries, sorted by name and family.
    pub fn discoveries(&self) -> &[Arc<DiscoveryDefinition>] {
        &self.0.discoveries
    }

    /// The pollsters, sorted by name and family.
    pub fn pollsters(&self) -> &[Arc<PollsterDefinition>] {
        &self.0.pollsters
    }

    /// The plugins that resolve names of projects and users, sorted by name and family. The first that loads is used.
    pub fn names(&self) -> &[NamesPlugin] {
        &self.0.names
    }

    /// The publishers, sorted by first scheme.
    pub fn publishers(&self) -> &[PublisherPlugin] {
        &self.0.publishers
    }

    /// Returns the publisher of a URL scheme.
    pub fn publisher(&self, scheme: &str) -> Option<&PublisherPlugin> {
        let mut publishers = self.0.publishers.iter();
        publishers.find(|publisher| publisher.schemes.contains(&scheme))
    }

    /// The definitions that were rejected while all others were loaded.
    pub fn rejected_definitions(&self) -> &[DefinitionProblem] {
        &self.0.rejected
    }

    /// Whether the families read and defined the same as in another catalog of this program.
    pub fn has_same_definitions(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Contents {
    fn sort(&mut self) {
        self.discoveries
            .sort_by(|one, other| (&one.name, one.family()).cmp(&(&other.name, other.family())));
        self.pollsters
            .sort_by(|one, other| (&one.name, one.family()).cmp(&(&other.name, other.family())));
        self.names.sort_by_key(|names| (names.name, names.family));
        self.publishers
            .sort_by_key(|publisher| publisher.schemes.first().copied());
    }

    fn check(&self) -> Result<(), CatalogError> {
        let of_names = self.names.iter().map(|plugin| (plugin.name, plugin.family));
        let of_discoveries = self.discoveries.iter().map(|one| (&*one.name, one.family()));
        let of_pollsters = self.pollsters.iter().map(|one| (&*one.name, one.family()));
        for (name, family) in of_discoveries.chain(of_pollsters).chain(of_names) {
            if !self.families.contains_key(family) {
                let name = name.to_owned();
                return Err(CatalogError::NoFamily { name, family });
            }
        }
        let mut schemes = Vec::new();
        for scheme in self.publishers.iter().flat_map(|publisher| publisher.schemes) {
            if schemes.contains(scheme) {
                let name = (*scheme).to_owned();
                return Err(CatalogError::Duplicate {
                    kind: "publishers",
                    name,
                });
            }
            schemes.push(*scheme);
        }
        self.unique_names().map(|_| ())
    }

    /// Collects all names and checks that they are unique.
    fn unique_names(&self) -> Result<UniqueNames, CatalogError> {
        let mut names = UniqueNames::default();
        let duplicate = |Conflict { kind, name, .. }: Conflict| CatalogError::Duplicate { kind, name };
        for discovery in &self.discoveries {
            names.add_discovery(discovery).map_err(duplicate)?;
        }
        for pollster in &self.pollsters {
            names.add_pollster(pollster).map_err(duplicate)?;
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests;
