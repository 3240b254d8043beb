//! The dependency tree of a crate, from `cargo tree`.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::cargo;

/// The dependencies of one crate.
pub(crate) struct Tree {
    /// Name and version of each.
    crates: BTreeSet<(String, String)>,
    /// For each name, a path of names from the root to it.
    ways: BTreeMap<String, Vec<String>>,
}

impl Tree {
    /// Returns the tree of a package with these kinds of dependencies, with its default features, on this system.
    pub(crate) fn of(package: &str, edges: &str) -> Self {
        let tree = cargo(&[
            "tree",
            "--locked",
            "--offline",
            "--package",
            package,
            "--edges",
            edges,
            "--prefix",
            "depth",
            "--color",
            "never",
        ]);
        Self::read(&tree)
    }

    /// Parses the output of `cargo tree --prefix depth`: a line `2name v1.2.3` for each edge. A repeated crate is printed
    /// without its dependencies; the first one has them.
    pub(crate) fn read(text: &str) -> Self {
        let mut tree = Self {
            crates: BTreeSet::new(),
            ways: BTreeMap::new(),
        };
        let mut above: Vec<String> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            let (depth, package) = line.split_at(digits);
            let mut words = package.split(' ');
            let (Ok(depth), Some(name), Some(version)) = (depth.parse(), words.next(), words.next()) else {
                panic!("cargo tree: {line}");
            };
            above.truncate(depth);
            above.push(name.to_owned());
            tree.crates.insert((name.to_owned(), version.to_owned()));
            tree.ways.entry(name.to_owned()).or_insert_with(|| above.clone());
        }
        tree
    }

    /// Returns the number of crates, the root included; two versions of one count twice.
    pub(crate) fn len(&self) -> usize {
        self.crates.len()
    }

    /// Returns their names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.crates.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the path to a crate.
    pub(crate) fn way_to(&self, name: &str) -> Option<&[String]> {
        self.ways.get(name).map(Vec::as_slice)
    }
}
