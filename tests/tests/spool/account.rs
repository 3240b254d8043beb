//! What an agent has said, and what has arrived.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nephoscope_tests::Sample;

/// The cycles that an agent has polled and given an account of in its log, over all of its lives.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// By number: how many samples were handed over.
    ended: BTreeMap<i64, usize>,
    /// Those of which all samples had a receipt, other than that they were lost.
    kept: BTreeSet<i64>,
}

/// What has arrived: for each resource the cycles in the order of arrival, and the ids.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    order: HashMap<String, Vec<i64>>,
    samples: HashMap<(String, i64), String>,
    /// Samples that arrived more than once.
    pub(crate) twins: usize,
}

impl Account {
    /// Reads the log of a life of the agent.
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

    /// Samples of all cycles that ended.
    pub(crate) fn samples(&self) -> usize {
        self.ended.values().sum()
    }

    /// How many cycles were kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Every sample of every cycle that was kept must have arrived.
    pub(crate) fn assert_kept_arrived(&self, arrived: &Arrived) {
        let sizes = arrived.sizes();
        for cycle in &self.kept {
            // Its receipts may be resolved before the line on its end was written.
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

    /// Every sample of every cycle that ended must have arrived: nothing was killed.
    pub(crate) fn assert_all_arrived(&self, arrived: &Arrived) {
        let sizes = arrived.sizes();
        for (cycle, samples) in &self.ended {
            let found = sizes.get(cycle).copied().unwrap_or(0);
            assert_eq!(found, *samples, "samples of cycle {cycle} that arrived");
        }
    }
}

impl Arrived {
    /// Samples of `synthetic.cycle`, as they arrived. Twins must have the same id, and no two samples may have one.
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
                assert_eq!(before, id, "twins of {resource} in cycle {cycle}");
                arrived.twins += 1;
            }
            let owner = *ids.entry(id).or_insert((resource, cycle));
            assert_eq!(owner, (resource, cycle), "two samples have the id {id}");
        }
        arrived
    }

    /// How many samples of each cycle arrived, twins counted once.
    fn sizes(&self) -> BTreeMap<i64, usize> {
        let mut sizes = BTreeMap::new();
        for (_, cycle) in self.samples.keys() {
            *sizes.entry(*cycle).or_default() += 1;
        }
        sizes
    }

    /// The samples of each resource must have arrived in the order in which they were polled.
    pub(crate) fn assert_in_order(&self) {
        for (resource, cycles) in &self.order {
            assert!(cycles.is_sorted(), "{resource} came in the order {cycles:?}");
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
