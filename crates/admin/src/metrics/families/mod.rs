//! The tables of all metric families.
//!
//! Labels are names that the configuration or the plugins bound: schedules, pollsters, listings, publishers. Nothing
//! is labelled by resource.

mod cycles;
mod listings;
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

/// The tables, in the order in which they are shown.
const TABLES: &[&[Family]] = &[
    process::FAMILIES,
    readiness::FAMILIES,
    scheduler::FAMILIES,
    cycles::FAMILIES,
    pollsters::FAMILIES,
    listings::FAMILIES,
    plugins::FAMILIES,
    publishers::FAMILIES,
    spools::FAMILIES,
    pool::FAMILIES,
];

/// All metric families, in the order in which they are shown.
pub fn families() -> impl Iterator<Item = &'static Family> {
    TABLES.iter().copied().flatten()
}
