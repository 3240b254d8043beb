//! Marks and give-ups: the finished and abandoned units of a membership's cycles.

use std::collections::{BTreeMap, BTreeSet};

use nephoscope_model::Timestamp;

use super::ids::UnitHash;

/// The value of `marks/<schedule>/<incarnation>`: the progress of each unit, for each start that can still be taken over.
/// Read only by successors; not watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Marks {
    /// By nominal start, then by unit.
    pub cycles: BTreeMap<Timestamp, BTreeMap<UnitHash, Vec<Step>>>,
}

/// A part of a unit that one membership claimed. The first step is its share of the plan; each further one is a takeover:
/// the resources that became its own when more members were out.
///
/// A resource belongs to the first step whose `out` contains all members that rank before this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The numbers of the plan's members that were out when the step started; includes those of the previous step.
    pub out: BTreeSet<u32>,
    /// Whether every sample's receipt has resolved.
    pub finished: bool,
}

/// The value of `gaveup/<schedule>/<incarnation>`: units that this membership no longer polls in a cycle. Watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GiveUps {
    /// By nominal start.
    pub cycles: BTreeMap<Timestamp, BTreeSet<UnitHash>>,
}
