//! The tables of all metric families.
//!
//! Labels have bounded sets of values: schedules, pollsters, discovery URLs, publishers. No family has a label for resources.

mod cycles;
mod discoveries;
mod plugins;
mod pollsters;
mod pool;
mod process;
mod publishers;
mod readiness;
mod scheduler;
mod spools;

use crate::metrics::family::Family;

pub(crate) use publishers::state_word;

/// The tables in the order of the output.
const TABLES: &[&[Family]] = &[
    process::FAMILIES,
    readiness::FAMILIES,
    scheduler::FAMILIES,
    cycles::FAMILIES,
    pollsters::FAMILIES,
    discoveries::FAMILIES,
    plugins::FAMILIES,
    publishers::FAMILIES,
    spools::FAMILIES,
    pool::FAMILIES,
];

/// Returns all metric families in the order of the output.
pub fn families() -> impl Iterator<Item = &'static Family> {
    TABLES.iter().copied().flatten()
}
