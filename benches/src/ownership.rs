//! Ownership: the time to compute it, the balance of shares, and the keys that move when a member leaves.

use std::collections::BTreeMap;
use std::hint::black_box;

use nephoscope_pool::protocol::{AgentId, Ownership};

use crate::bench::Effort;
use crate::clocks;
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::python::Python;
use crate::stats::median;
use crate::table;

/// The maximum time to find the owners of [`MANY`] keys among 100 members, in milliseconds.
const TIME: Budget = Budget::AtMost(300.0);

/// The maximum ratio of the largest share to the mean share: on average of all sets of keys, and in the worst set. (A perfect
/// hash: 1.163 and 1.33.)
const MEAN: Budget = Budget::AtMost(1.18);
const WORST: Budget = Budget::AtMost(1.33);

/// The maximum of keys that move when a member leaves, without its share, in percent of all keys.
const MOVED: Budget = Budget::AtMost(1.0);

const MANY: u64 = 1_000_000;
const KEYS: u64 = 10_000;
const SETS: u64 = 100;

/// Prints the largest share on tooz's ring for each set of keys.
const RING: &str = include_str!("../tooz/ring.py");

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let mut figures = vec![time(effort)];
    let sets: Vec<_> = (0..SETS).map(|set| keys(set, KEYS)).collect();
    figures.extend(balance(&sets));
    figures.extend(leaving(&sets));
    Ok(figures)
}

fn time(effort: Effort) -> Figure {
    let (runs, members) = (effort.of(9, 3), members(100));
    let keys = keys(0, MANY);
    let times = (0..runs).map(|_| {
        let before = clocks::cpu();
        for key in &keys {
            black_box(members.owner(key));
        }
        clocks::cpu().saturating_sub(before).as_secs_f64() * 1e3
    });
    Figure::new(
        "owners of 1,000,000 keys, 100 members",
        Unit::Milliseconds,
        TIME,
        median(times.collect()),
        format!(
            "keys as UUIDs, from the text of the key to its owner, time of the CPU on one thread; median of {runs} runs"
        ),
    )
}

fn balance(sets: &[Vec<String>]) -> Vec<Figure> {
    let members = members(50);
    let ours = ratios(sets.iter().map(|keys| largest(&members, keys) as f64));
    let how = format!("50 members, {SETS} seeded sets of {KEYS} UUIDs");
    let figure = |name: &str, budget, measured| Figure::new(name, Unit::Times, budget, measured, how.clone());
    let mut figures = vec![
        figure("largest share / mean, mean of all sets", MEAN, ours.0),
        figure("the same, at worst", WORST, ours.1),
    ];
    match ring(&members, sets) {
        Ok(theirs) => figures.extend([
            figure("tooz's hash ring, mean of the same sets", Budget::None, theirs.0),
            figure("the same, at worst", Budget::None, theirs.1),
        ]),
        Err(error) => table::print_error(&format!("tooz is not measured: {}", error.chain())),
    }
    figures
}

/// Each member of ten leaves in turn.
fn leaving(sets: &[Vec<String>]) -> Vec<Figure> {
    let before = members(10);
    let (mut most, mut others_moved) = (0.0_f64, 0.0_f64);
    for keys in sets.iter().take(before.members().len()) {
        for left in before.members() {
            let after = Ownership::among(before.members().iter().filter(|id| *id != left).cloned());
            let moved = keys.iter().filter(|key| before.owner(key) != after.owner(key));
            let (own, others): (Vec<_>, Vec<_>) = moved.partition(|key| before.owner(key) == Some(left));
            let percent = |count: usize| count as f64 * 100.0 / keys.len() as f64;
            most = most.max(percent(own.len()));
            others_moved = others_moved.max(percent(others.len()));
        }
    }
    let how = format!(
        "each of 10 members leaves, in 10 sets of {KEYS} keys; the worst of all, in percent of all keys"
    );
    vec![
        Figure::new(
            "one of 10 leaves: moved without its share",
            Unit::Percent,
            MOVED,
            others_moved,
            how.clone(),
        ),
        Figure::new("its share", Unit::Percent, Budget::None, most, how),
    ]
}

fn members(count: usize) -> Ownership {
    Ownership::among((0..count).filter_map(|number| AgentId::new(&format!("compute-{number:03}"))))
}

/// Returns the number of keys of the busiest member.
fn largest(members: &Ownership, keys: &[String]) -> usize {
    let mut shares: BTreeMap<Option<&AgentId>, usize> = BTreeMap::new();
    for key in keys {
        *shares.entry(members.owner(key)).or_default() += 1;
    }
    shares.into_values().max().unwrap_or(0)
}

/// Returns mean and maximum of the largest shares of sets, relative to the mean share of 50 members.
fn ratios(largest: impl Iterator<Item = f64>) -> (f64, f64) {
    let ratios: Vec<_> = largest.map(|share| share * 50.0 / KEYS as f64).collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    (mean, ratios.into_iter().fold(f64::NAN, f64::max))
}

fn ring(members: &Ownership, sets: &[Vec<String>]) -> Result<(f64, f64), BenchError> {
    let python = Python::with("tooz", "tooz.hashring")?;
    let ids: Vec<_> = members.members().iter().map(AgentId::as_str).collect();
    let mut input = serde_json::to_vec(&ids).context("write the members")?;
    for keys in sets {
        input.push(b'\n');
        serde_json::to_writer(&mut input, keys).context("write keys")?;
    }
    input.push(b'\n');
    let output = python.run(RING, &[], &input)?;
    let largest: Result<Vec<f64>, _> = output.lines().map(str::parse).collect();
    let largest = largest.context("parse the output of tooz")?;
    if largest.len() != sets.len() {
        return Err(BenchError::new("tooz did not answer for every set"));
    }
    Ok(ratios(largest.into_iter()))
}

/// Returns the keys of a set: UUIDs, like those of instances and volumes.
fn keys(set: u64, count: u64) -> Vec<String> {
    let mut state = set;
    let mut next = move || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    };
    let uuid = |_| {
        let (high, low) = (next(), next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff
        )
    };
    (0..count).map(uuid).collect()
}
