//! Compares the cycles in an agent's log with the samples that arrived.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nephoscope_tests::Sample;

/// The polled cycles in an agent's log, over all its processes.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// By number: the count of samples handed over.
    ended: BTreeMap<i64, usize>,
    /// Those whose samples all have a receipt without a loss.
    kept: BTreeSet<i64>,
}

/// The samples that arrived: the cycles of each resource in order of arrival, and the ids.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    order: HashMap<String, Vec<i64>>,
    samples: HashMap<(String, i64), String>,
    /// The count of duplicates.
    pub(crate) duplicates: usize,
}

impl Account {
    /// Reads the log of one process.
    pub(crate) fn read(&mut self, log: &str) {
        for line in log.lines() {
            if line.contains("cycle ended") {
                self.ended.insert(field(line, "number="), field(line, "samples="));
            } else if line.contains("cycle settled") {
                assert!(!line.contains("dropped"), "samples were lost: {line}");
                self.kept.insert(field(line, "number="));
            }
        }
    }

    /// The samples of all ended cycles.
    pub(crate) fn samples(&self) -> usize {
        self.ended.values().sum()
    }

    /// The count of delivered or stored cycles.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Asserts that every sample of every stored cycle arrived.
    pub(crate) fn assert_kept_arrived(&self, arrived: &Arrived) {
        let sizes = arrived.sizes();
        for cycle in &self.kept {
            // Receipts may be resolved before the line about the cycle's end is written.
            let Some(samples) = self.ended.get(cycle) else {
                continue;
            };
            let found = sizes.get(cycle).copied().unwrap_or(0);
            assert!(
                found >= *samples,
                "of cycle {cycle} only {found} of {samples} samples arrived"
            );
        }
    }

    /// Asserts that every sample of every ended cycle arrived: nothing was killed.
    pub(crate) fn assert_all_arrived(&self, arrived: &Arrived) {
        let sizes = arrived.sizes();
        for (cycle, samples) in &self.ended {
            let found = sizes.get(cycle).copied().unwrap_or(0);
            assert_eq!(found, *samples, "samples of cycle {cycle} that arrived");
        }
    }
}

impl Arrived {
    /// Samples of `synthetic.cycle` as they arrived. Duplicates must have the same id, and no two samples may share one.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let mut arrived = Self::default();
        let mut ids: HashMap<&str, (&str, i64)> = HashMap::new();
        for sample in samples {
            #[allow(clippy::cast_possible_truncation, reason = "the number of a cycle is whole")]
            let cycle = sample.volume() as i64;
            let (resource, id) = (sample.resource(), sample.id());
            arrived.order.entry(resource.to_owned()).or_default().push(cycle);
            let before = arrived
                .samples
                .insert((resource.to_owned(), cycle), id.to_owned());
            if let Some(before) = before {
                assert_eq!(before, id, "duplicates of {resource} in cycle {cycle}");
                arrived.duplicates += 1;
            }
            let owner = *ids.entry(id).or_insert((resource, cycle));
            assert_eq!(owner, (resource, cycle), "two samples have the id {id}");
        }
        arrived
    }

    /// The count of samples of each cycle, duplicates counted once.
    fn sizes(&self) -> BTreeMap<i64, usize> {
        let mut sizes = BTreeMap::new();
        for (_, cycle) in self.samples.keys() {
            *sizes.entry(*cycle).or_default() += 1;
        }
        sizes
    }

    /// Asserts that the samples of each resource arrived in the order in which they were polled.
    pub(crate) fn assert_in_order(&self) {
        for (resource, cycles) in &self.order {
            assert!(cycles.is_sorted(), "{resource} arrived in the order {cycles:?}");
        }
    }
}

fn field<T: std::str::FromStr>(line: &str, name: &str) -> T {
    let (_, rest) = line
        .split_once(name)
        .unwrap_or_else(|| panic!("no {name} in {line}"));
    let value = rest.split([' ', ',']).next().unwrap_or_default();
    value
        .parse()
        .ok()
        .unwrap_or_else(|| panic!("no number after {name} in {line}"))
}
