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
    None,
    /// The whole discovery.
    All,
    /// The resources that the claim owns.
    Resources(Arc<Claim>),
}

impl Division {
    /// Returns whether the plan lists this agent with exactly these units of the schedule (hashed by [`UnitHash::of`]).
    pub fn lists(&self, units: &UnitSet) -> bool {
        self.listed == *units
    }

    /// Returns this agent's portion of a unit.
    pub fn portion(&self, unit: &Unit) -> Portion {
        let Some((_, claim)) = self.claims.get(unit) else {
            return Portion::None;
        };
        match unit.mode {
            PartitionMode::Resource => Portion::Resources(claim.clone()),
            PartitionMode::Listing if claim.owns(KeyHash::of(&unit.discovery)) => Portion::All,
            PartitionMode::Listing => Portion::None,
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
    kind: ClaimKind,
    /// The claim that this agent already polls in the same cycle.
    except: Option<Arc<Claim>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ClaimKind {
    /// By the plan of the cycle.
    Planned(Planned),
    /// By plans of earlier cycles, because this cycle's plan is unavailable: resources that are owned under any of them.
    Earlier(Vec<(Candidates, usize)>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Planned {
    candidates: Candidates,
    /// The position of this agent among the candidates.
    me: usize,
    /// The members that are out, by position.
    out: BTreeSet<usize>,
    /// The members that were out at the previous step. Resources that this agent owned then are not part of this step.
    before: Option<BTreeSet<usize>>,
    /// The members that are out because they died since the cycle started.
    dead: BTreeSet<usize>,
    /// The steps that the members that are out have marked.
    done: BTreeMap<usize, Vec<MarkedStep>>,
}

/// A step of a member that is out, by positions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MarkedStep {
    out: BTreeSet<usize>,
    finished: bool,
}

impl Claim {
    /// Returns whether this agent owns the resource with this key.
    pub fn owns(&self, key: KeyHash) -> bool {
        let owned = match &self.kind {
            ClaimKind::Planned(planned) => planned.owns(key),
            ClaimKind::Earlier(plans) => plans
                .iter()
                .any(|(candidates, me)| first(&candidates.hashes, key) == Some(*me)),
        };
        owned && !self.except.as_ref().is_some_and(|except| except.owns(key))
    }

    fn members(&self) -> usize {
        match &self.kind {
            ClaimKind::Planned(planned) => planned.candidates.hashes.len() - planned.out.len(),
            ClaimKind::Earlier(plans) => plans
                .iter()
                .map(|(candidates, _)| candidates.hashes.len())
                .min()
                .unwrap_or(1),
        }
    }

    /// Creates a claim on the resources that are owned under any of these plans' candidates, each with this agent's
    /// position.
    pub(super) fn by_earlier_plans(plans: Vec<(Candidates, usize)>) -> Self {
        Self {
            kind: ClaimKind::Earlier(plans),
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
pub(super) struct ClaimBasis<'a> {
    pub(super) me: usize,
    pub(super) out: &'a BTreeSet<u32>,
    pub(super) before: Option<&'a BTreeSet<u32>>,
    pub(super) dead: &'a BTreeSet<u32>,
    /// By number of the member.
    pub(super) marks: BTreeMap<u32, &'a [Step]>,
}

impl<'a> ClaimBasis<'a> {
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
    pub(super) fn includes_share(&self, candidates: &Candidates) -> bool {
        match &self.kind {
            ClaimKind::Planned(_) => false,
            ClaimKind::Earlier(plans) => plans.iter().any(|(former, _)| former.hashes == candidates.hashes),
        }
    }

    /// Creates a claim by a plan; `None` if this agent is not a candidate of the unit, or is itself out.
    pub(super) fn planned(candidates: Candidates, basis: &ClaimBasis<'_>) -> Option<Self> {
        let places = |numbers: &BTreeSet<u32>| -> BTreeSet<usize> {
            numbers
                .iter()
                .filter_map(|number| candidates.place(*number as usize))
                .collect()
        };
        let me = candidates.place(basis.me)?;
        let out = places(basis.out);
        if out.contains(&me) {
            return None;
        }
        let marked = |steps: &[Step]| -> Vec<MarkedStep> {
            let marked = |step: &Step| MarkedStep {
                out: places(&step.out),
                finished: step.finished,
            };
            steps.iter().map(marked).collect()
        };
        let done = basis
            .marks
            .iter()
            .filter_map(|(number, steps)| Some((candidates.place(*number as usize)?, marked(steps))))
            .collect();
        let (before, dead) = (basis.before.map(places), places(basis.dead));
        Some(Self {
            kind: ClaimKind::Planned(Planned {
                me,
                out,
                before,
                dead,
                done,
                candidates,
            }),
            except: None,
        })
    }
}

impl Planned {
    fn owns(&self, key: KeyHash) -> bool {
        if self.out.is_empty() {
            return first(&self.candidates.hashes, key) == Some(self.me);
        }
        let order = ranked(&self.candidates.hashes, key);
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
        let owned_before = |before: &BTreeSet<usize>| ahead.iter().all(|place| before.contains(place));
        if self.before.as_ref().is_some_and(owned_before) {
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
pub struct Candidates {
    hashes: Vec<MemberHash>,
    /// Their numbers in the plan, ascending.
    numbers: Vec<usize>,
}

impl Candidates {
    /// Returns the members of `plan` that have `unit`.
    pub fn of(plan: &Plan, unit: UnitHash) -> Self {
        Self::filtered(plan, |units| units.contains(&unit))
    }

    /// Returns the members of `plan` whose units satisfy `predicate`.
    pub(super) fn filtered(plan: &Plan, predicate: impl Fn(&UnitSet) -> bool) -> Self {
        let mut candidates = Self::default();
        for (number, member) in plan.members.iter().enumerate() {
            if predicate(&member.units) {
                candidates.hashes.push(MemberHash::of(&member.id));
                candidates.numbers.push(number);
            }
        }
        candidates
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
