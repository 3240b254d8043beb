//! What a membership has finished of its cycles, and what it gave up.

use std::collections::{BTreeMap, BTreeSet};

use nephoscope_model::Timestamp;

use super::ids::UnitHash;

/// The value of `marks/<schedule>/<incarnation>`: for each start that can still be taken over, how far each unit is.
/// Only ever read by successors; not watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Marks {
    /// By nominal start, then by unit.
    pub cycles: BTreeMap<Timestamp, BTreeMap<UnitHash, Vec<Step>>>,
}

/// A part of a unit that one membership took on. The first step is its share of the plan; each further one is a succession:
/// what became its own when more members were out.
///
/// A resource belongs to the first step in whose `out` are all members that rank before this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The members of the plan, by number, that were out when the step began; each step has all of the one before it.
    pub out: BTreeSet<u32>,
    /// Whether every sample's receipt has resolved.
    pub finished: bool,
}

/// The value of `gaveup/<schedule>/<incarnation>`: units of which this membership does nothing more in a cycle. Watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GiveUps {
    /// By nominal start.
    pub cycles: BTreeMap<Timestamp, BTreeSet<UnitHash>>,
}
