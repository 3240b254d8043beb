//! Unique names of discoveries, pollsters and meters, each within a namespace.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{DiscoveryDefinition, Location, PollsterDefinition};

/// The owner of each name.
#[derive(Debug, Default)]
pub(super) struct UniqueNames {
    owners: HashMap<Key, Arc<Owner>>,
    /// Whether the names that are added now belong to families' definitions.
    defining: bool,
}

/// A kind and `namespace/name`.
type Key = (&'static str, String);

/// A discovery or pollster that owns names.
#[derive(Debug)]
pub(super) struct Owner {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Its family.
    pub(super) family: &'static str,
    /// Whether it is compiled in.
    pub(super) compiled: bool,
    /// The location of its definition, if it is defined in a file.
    pub(super) location: Option<Location>,
}

/// A name that already has an owner.
#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) kind: &'static str,
    /// `namespace/name`.
    pub(super) name: String,
    pub(super) owner: Arc<Owner>,
    /// Whether the owner is the same definition: it has a name twice.
    pub(super) within_definition: bool,
}

impl UniqueNames {
    /// From now on the added names belong to families' definitions.
    pub(super) fn for_definitions(mut self) -> Self {
        self.defining = true;
        self
    }

    /// Adds all names of a discovery, or none.
    pub(super) fn add_discovery(&mut self, discovery: &DiscoveryDefinition) -> Result<(), Conflict> {
        let owner = Arc::new(Owner {
            name: discovery.name.clone(),
            family: discovery.family(),
            compiled: !self.defining,
            location: discovery.location.clone(),
        });
        let keys = discovery
            .namespaces
            .iter()
            .map(|namespace| ("discoveries", format!("{namespace}/{}", discovery.name)));
        self.add(keys.collect(), &owner)
    }

    /// Adds all names of a pollster and of its meters, or none.
    pub(super) fn add_pollster(&mut self, pollster: &PollsterDefinition) -> Result<(), Conflict> {
        let owner = Arc::new(Owner {
            name: pollster.name.clone(),
            family: pollster.family(),
            compiled: !self.defining,
            location: pollster.location.clone(),
        });
        let mut keys = Vec::new();
        for namespace in &pollster.namespaces {
            keys.push(("pollsters", format!("{namespace}/{}", pollster.name)));
            for meter in &pollster.meters {
                let names = std::iter::once(&meter.name).chain(&meter.aliases);
                keys.extend(names.map(|name| ("meters", format!("{namespace}/{name}"))));
            }
        }
        self.add(keys, &owner)
    }

    fn add(&mut self, keys: Vec<Key>, owner: &Arc<Owner>) -> Result<(), Conflict> {
        for (index, key) in keys.iter().enumerate() {
            let within_definition = keys.iter().take(index).any(|before| before == key);
            let owner = self.owners.get(key).or(within_definition.then_some(owner));
            if let Some(owner) = owner {
                return Err(Conflict {
                    kind: key.0,
                    name: key.1.clone(),
                    owner: owner.clone(),
                    within_definition,
                });
            }
        }
        self.owners
            .extend(keys.into_iter().map(|key| (key, owner.clone())));
        Ok(())
    }
}
