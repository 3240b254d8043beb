//! One agent's share of a cycle, computed from the plan, the members that are out, and the finished steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nephoscope_coordination::Unit;
use nephoscope_model::PartitionMode;

use super::MAX_DEATHS;
use super::ids::UnitHash;
use super::mark::Step;
use super::member::UnitSet;
use super::plan::Plan;
use super::ranking::{KeyHash, MemberHash, first, ranked};

/// One agent's share of a work item. Immutable, and cheap to query from many threads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Division {
    /// The units that the plan lists for this agent.
    pub(super) listed: UnitSet,
    /// The claim on each unit. This agent does not poll other units.
    pub(super) claims: BTreeMap<Unit, (UnitHash, Arc<Claim>)>,
}

/// One agent's portion of a unit.
#[derive(Debug, Clone)]
pub enum Portion {
    /// Empty: the unit need not be discovered.
    Nothing,
    /// The whole discovery.
    Everything,
    /// The resources that the claim owns.
    Resources(Arc<Claim>),
}

impl Division {
    /// Returns whether the plan lists this agent with exactly these units of the schedule (hashed by [`UnitHash::of`]).
    pub fn carries(&self, units: &UnitSet) -> bool {
        self.listed == *units
    }

    /// Returns this agent's portion of a unit.
    pub fn portion(&self, unit: &Unit) -> Portion {
        let Some((_, claim)) = self.claims.get(unit) else {
            return Portion::Nothing;
        };
        match unit.mode {
            PartitionMode::Resource => Portion::Resources(claim.clone()),
            PartitionMode::Listing if claim.owns(KeyHash::of(&unit.listing)) => Portion::Everything,
            PartitionMode::Listing => Portion::Nothing,
        }
    }

    /// Returns the number of agents that divide a unit, at least 1.
    pub fn members(&self, unit: &Unit) -> usize {
        self.claims
            .get(unit)
            .map_or(1, |(_, claim)| claim.members())
            .max(1)
    }

    /// Returns the units of which this agent may have a portion.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.claims.keys()
    }
}

/// The resources of a unit that one agent owns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    kind: Kind,
    /// The claim that this agent already polls in the same cycle.
    except: Option<Arc<Claim>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// By the plan of the cycle.
    Planned(Planned),
    /// By plans of earlier cycles, because this cycle's plan is unavailable: resources that are owned under any of them.
    Former(Vec<(Carriers, usize)>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Planned {
    carriers: Carriers,
    /// The position of this agent among the candidates.
    me: usize,
    /// The members that are out, by position.
    out: BTreeSet<usize>,
    /// The members that were out at the previous step. Resources that this agent owned then are not part of this step.
    before: Option<BTreeSet<usize>>,
    /// The members that are out because they died since the cycle started.
    dead: BTreeSet<usize>,
    /// The steps that the members that are out have marked.
    done: BTreeMap<usize, Vec<Taken>>,
}

/// A step of a member that is out, by positions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Taken {
    out: BTreeSet<usize>,
    finished: bool,
}

impl Claim {
    /// Returns whether this agent owns the resource with this key.
    pub fn owns(&self, key: KeyHash) -> bool {
        let owned = match &self.kind {
            Kind::Planned(planned) => planned.owns(key),
            Kind::Former(plans) => plans
                .iter()
                .any(|(carriers, me)| first(&carriers.hashes, key) == Some(*me)),
        };
        owned && !self.except.as_ref().is_some_and(|except| except.owns(key))
    }

    fn members(&self) -> usize {
        match &self.kind {
            Kind::Planned(planned) => planned.carriers.hashes.len() - planned.out.len(),
            Kind::Former(plans) => plans
                .iter()
                .map(|(carriers, _)| carriers.hashes.len())
                .min()
                .unwrap_or(1),
        }
    }

    /// Creates a claim on the resources that are owned under any of these plans' candidates, each with this agent's
    /// position.
    pub(super) fn former(plans: Vec<(Carriers, usize)>) -> Self {
        Self {
            kind: Kind::Former(plans),
            except: None,
        }
    }

    /// Excludes the resources of `except`.
    pub(super) fn without(mut self, except: Option<Arc<Self>>) -> Self {
        self.except = except;
        self
    }
}

/// The inputs of a claim on a unit. Members are identified by their numbers in the plan.
pub(super) struct Grounds<'a> {
    pub(super) me: usize,
    pub(super) out: &'a BTreeSet<u32>,
    pub(super) before: Option<&'a BTreeSet<u32>>,
    pub(super) dead: &'a BTreeSet<u32>,
    /// By number of the member.
    pub(super) marks: BTreeMap<u32, &'a [Step]>,
}

impl<'a> Grounds<'a> {
    /// Creates the basis of this agent's share of the plan, including that of the members that are `out` from the start.
    pub(super) fn share(me: usize, out: &'a BTreeSet<u32>) -> Self {
        static NOBODY: BTreeSet<u32> = BTreeSet::new();
        Self {
            me,
            out,
            before: None,
            dead: &NOBODY,
            marks: BTreeMap::new(),
        }
    }
}

impl Claim {
    /// Returns whether the claim certainly includes this agent's share of a plan with these candidates if no member is out.
    pub(super) fn includes_share(&self, carriers: &Carriers) -> bool {
        match &self.kind {
            Kind::Planned(_) => false,
            Kind::Former(plans) => plans.iter().any(|(former, _)| former.hashes == carriers.hashes),
        }
    }

    /// Creates a claim by a plan; `None` if this agent is not a candidate of the unit, or is itself out.
    pub(super) fn planned(carriers: Carriers, grounds: &Grounds<'_>) -> Option<Self> {
        let places = |numbers: &BTreeSet<u32>| -> BTreeSet<usize> {
            numbers
                .iter()
                .filter_map(|number| carriers.place(*number as usize))
                .collect()
        };
        let me = carriers.place(grounds.me)?;
        let out = places(grounds.out);
        if out.contains(&me) {
            return None;
        }
        let taken = |steps: &[Step]| -> Vec<Taken> {
            let taken = |step: &Step| Taken {
                out: places(&step.out),
                finished: step.finished,
            };
            steps.iter().map(taken).collect()
        };
        let done = grounds
            .marks
            .iter()
            .filter_map(|(number, steps)| Some((carriers.place(*number as usize)?, taken(steps))))
            .collect();
        let (before, dead) = (grounds.before.map(places), places(grounds.dead));
        Some(Self {
            kind: Kind::Planned(Planned {
                me,
                out,
                before,
                dead,
                done,
                carriers,
            }),
            except: None,
        })
    }
}

impl Planned {
    fn owns(&self, key: KeyHash) -> bool {
        if self.out.is_empty() {
            return first(&self.carriers.hashes, key) == Some(self.me);
        }
        let order = ranked(&self.carriers.hashes, key);
        // All members ahead of this agent must be out.
        let mut ahead = Vec::new();
        for place in order {
            if place == self.me {
                break;
            }
            if !self.out.contains(&place) {
                return false;
            }
            ahead.push(place);
        }
        let was_mine = |before: &BTreeSet<usize>| ahead.iter().all(|place| before.contains(place));
        if self.before.as_ref().is_some_and(was_mine) {
            return false;
        }
        if ahead.iter().filter(|place| self.dead.contains(place)).count() > MAX_DEATHS {
            return false;
        }
        !self.done_by(&ahead)
    }

    /// Returns whether a member ahead has finished the step in which it owned the resource.
    fn done_by(&self, ahead: &[usize]) -> bool {
        ahead.iter().enumerate().any(|(at, place)| {
            let Some(steps) = self.done.get(place) else {
                return false;
            };
            let before = ahead.get(..at).unwrap_or_default();
            let step = steps
                .iter()
                .find(|step| before.iter().all(|place| step.out.contains(place)));
            step.is_some_and(|step| step.finished)
        })
    }
}

/// The members of a plan that have a unit, sorted by id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Carriers {
    hashes: Vec<MemberHash>,
    /// Their numbers in the plan, ascending.
    numbers: Vec<usize>,
}

impl Carriers {
    /// Returns the members of `plan` that have `unit`.
    pub fn of(plan: &Plan, unit: UnitHash) -> Self {
        Self::filtered(plan, |units| units.contains(&unit))
    }

    /// Returns the members of `plan` whose units satisfy `predicate`.
    pub(super) fn filtered(plan: &Plan, carries: impl Fn(&UnitSet) -> bool) -> Self {
        let mut carriers = Self::default();
        for (number, member) in plan.members.iter().enumerate() {
            if carries(&member.units) {
                carriers.hashes.push(MemberHash::of(&member.id));
                carriers.numbers.push(number);
            }
        }
        carriers
    }

    /// Returns the number of the member that owns the resource with this key.
    pub fn owner(&self, key: KeyHash) -> Option<usize> {
        first(&self.hashes, key).and_then(|place| self.numbers.get(place).copied())
    }

    /// Returns the numbers of the members in the order of their ranking for `key`.
    pub fn ranking(&self, key: KeyHash) -> Vec<usize> {
        let places = ranked(&self.hashes, key);
        places
            .into_iter()
            .filter_map(|place| self.numbers.get(place).copied())
            .collect()
    }

    /// Returns the numbers of the members.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// Returns the position of the member with this number.
    pub(super) fn place(&self, number: usize) -> Option<usize> {
        self.numbers.binary_search(&number).ok()
    }
}
