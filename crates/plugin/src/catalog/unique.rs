//! Names that only one may have: of discoveries, of pollsters and of meters, each within a namespace.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{DiscoveryDefinition, Location, PollsterDefinition};

/// Who has which name.
#[derive(Debug, Default)]
pub(super) struct UniqueNames {
    owners: HashMap<Key, Arc<Owner>>,
    /// Whether what is added now is made by families.
    growing: bool,
}

/// A kind, and `namespace/name`.
type Key = (&'static str, String);

/// A discovery or pollster.
#[derive(Debug)]
pub(super) struct Owner {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Its family.
    pub(super) family: &'static str,
    /// Whether it is a part of the program.
    pub(super) compiled: bool,
    /// Where it is defined, if that is in a file.
    pub(super) location: Option<Location>,
}

/// A name that another has.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) kind: &'static str,
    /// `namespace/name`.
    pub(super) name: String,
    pub(super) by: Arc<Owner>,
    /// Whether the other is this very definition: it has a meter twice.
    pub(super) twice: bool,
}

impl UniqueNames {
    /// What is added from now on is made by families.
    pub(super) fn grow(mut self) -> Self {
        self.growing = true;
        self
    }

    /// Adds all names of a discovery, or none.
    pub(super) fn add_discovery(&mut self, discovery: &DiscoveryDefinition) -> Result<(), Taken> {
        let owner = Arc::new(Owner {
            name: discovery.name.clone(),
            family: discovery.family(),
            compiled: !self.growing,
            location: discovery.location.clone(),
        });
        let keys = discovery
            .namespaces
            .iter()
            .map(|namespace| ("discoveries", format!("{namespace}/{}", discovery.name)));
        self.add(keys.collect(), &owner)
    }

    /// Adds all names of a pollster and of its meters, or none.
    pub(super) fn add_pollster(&mut self, pollster: &PollsterDefinition) -> Result<(), Taken> {
        let owner = Arc::new(Owner {
            name: pollster.name.clone(),
            family: pollster.family(),
            compiled: !self.growing,
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

    fn add(&mut self, keys: Vec<Key>, owner: &Arc<Owner>) -> Result<(), Taken> {
        for (place, key) in keys.iter().enumerate() {
            let twice = keys.iter().take(place).any(|before| before == key);
            let by = self.owners.get(key).or(twice.then_some(owner));
            if let Some(by) = by {
                return Err(Taken {
                    kind: key.0,
                    name: key.1.clone(),
                    by: by.clone(),
                    twice,
                });
            }
        }
        self.owners
            .extend(keys.into_iter().map(|key| (key, owner.clone())));
        Ok(())
    }
}
