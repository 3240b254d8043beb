//! Helpers for samples of `synthetic.cycle`: which cycles of which resource exist.

use std::collections::BTreeMap;

use nephoscope_tests::Sample;

/// The cycles of each resource, in the order of the samples.
pub(crate) fn cycles(samples: &[Sample]) -> BTreeMap<String, Vec<i64>> {
    let mut cycles: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for sample in samples
        .iter()
        .filter(|sample| sample.meter() == "synthetic.cycle")
    {
        #[allow(clippy::cast_possible_truncation, reason = "the number of a cycle is whole")]
        let cycle = sample.volume() as i64;
        cycles
            .entry(sample.resource().to_owned())
            .or_default()
            .push(cycle);
    }
    cycles
}

/// The cycles of one resource, without gaps or duplicates.
pub(crate) fn without_gap(samples: &[Sample], resource: &str) -> Vec<i64> {
    let mut found = cycles(samples).remove(resource).unwrap_or_default();
    found.sort_unstable();
    let complete: Vec<i64> = match (found.first(), found.last()) {
        (Some(first), Some(last)) => (*first..=*last).collect(),
        _ => Vec::new(),
    };
    assert_eq!(found, complete, "each cycle of {resource} once");
    found
}

/// The configuration of a source whose hourly cycle has just started, so that an agent that starts now runs it immediately.
pub(crate) fn long_cycle(name: &str, rest: &str) -> String {
    format!(
        "  - {{name: {name}, interval: 3600, offset: {}, {rest}}}\n",
        second_of_the_hour()
    )
}

#[allow(
    clippy::disallowed_methods,
    reason = "cycles follow the real clock, and so must the test"
)]
fn second_of_the_hour() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("it is later than 1970").as_secs() % 3600
}
