//! Classes of sources that publishers distinguish.
//!
//! A publisher can select sources (`sources:`), and a resource is polled once for all sources that select it. A run must
//! therefore know for each resource which publishers receive its samples. Not the source itself matters but its *class*: the
//! set of publishers' selections that contain it. If no publisher selects sources, there is one class.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The number of a class of sources.
pub type Class = usize;

/// The classes of the sources that collect the same resources.
pub type ClassSet = BTreeSet<Class>;

/// The classes of sources, derived from the publishers' selections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceClasses {
    /// The distinct selections of publishers.
    selections: BTreeSet<BTreeSet<Arc<str>>>,
}

impl SourceClasses {
    /// Creates the classes from the publishers' selections of sources. Publishers without a selection are not included.
    pub fn new(selections: impl IntoIterator<Item = BTreeSet<Arc<str>>>) -> Self {
        Self {
            selections: selections.into_iter().collect(),
        }
    }

    /// Returns the class of each source. The numbers have no meaning beyond equality.
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
    fn sources_differ_in_class_if_a_publisher_selects_only_one_of_them() {
        assert_eq!(classes(&[]), [0, 0, 0, 0]);
        assert_eq!(classes(&[&["a", "b", "c", "d"]]), [0, 0, 0, 0]);
        assert_eq!(classes(&[&["a"]]), [0, 1, 1, 1]);
        assert_eq!(classes(&[&["a", "b"], &["b", "c"]]), [0, 1, 2, 3]);
        assert_eq!(classes(&[&["a", "c"], &["c", "a"], &["elsewhere"]]), [0, 1, 0, 1]);
    }
}
