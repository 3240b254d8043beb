//! Which sources the publishers tell apart.
//!
//! A publisher may get what some sources want (`sources:`), and a resource is polled once for all sources that want it. So a
//! run must know of each resource which publishers its samples are for. What matters is not the source but its *class*: the
//! set of publishers' selections that it is in. Where no publisher names sources there is one class, and nothing to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A class of sources, by number.
pub type Class = usize;

/// The classes of sources that want the same.
pub type ClassSet = BTreeSet<Class>;

/// Sources, by what publishers select.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceClasses {
    /// The selections of publishers, each once.
    selections: BTreeSet<BTreeSet<Arc<str>>>,
}

impl SourceClasses {
    /// The classes for publishers with these selections of sources; those that select no sources count for nothing.
    pub fn new(selections: impl IntoIterator<Item = BTreeSet<Arc<str>>>) -> Self {
        Self {
            selections: selections.into_iter().collect(),
        }
    }

    /// The class of each of these sources. The numbers mean nothing beyond that.
    pub fn of<'a>(&self, sources: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, Class> {
        let mut known: BTreeMap<Vec<bool>, Class> = BTreeMap::new();
        let mut classes = BTreeMap::new();
        for source in sources {
            let selected_by: Vec<bool> = self
                .selections
                .iter()
                .map(|selection| selection.contains(source))
                .collect();
            let next = known.len();
            classes.insert(source, *known.entry(selected_by).or_insert(next));
        }
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(selections: &[&[&str]]) -> Vec<Class> {
        let selection = |names: &&[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        let classes = SourceClasses::new(selections.iter().map(selection));
        classes.of(["a", "b", "c", "d"]).into_values().collect()
    }

    #[test]
    fn sources_are_apart_if_a_publisher_selects_one_and_not_the_other() {
        assert_eq!(classes(&[]), [0, 0, 0, 0]);
        assert_eq!(classes(&[&["a", "b", "c", "d"]]), [0, 0, 0, 0]);
        assert_eq!(classes(&[&["a"]]), [0, 1, 1, 1]);
        assert_eq!(classes(&[&["a", "b"], &["b", "c"]]), [0, 1, 2, 3]);
        assert_eq!(classes(&[&["a", "c"], &["c", "a"], &["elsewhere"]]), [0, 1, 0, 1]);
    }
}
