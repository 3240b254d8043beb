//! What of a cycle is one agent's: a plan, who is out, and what is done already, as the engine asks for it.

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

/// What one agent has to do in one work. Immutable, and cheap to ask from many threads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Division {
    /// The units that the plan lists for this agent.
    pub(super) listed: UnitSet,
    /// What of each unit. A unit that is not here is none of this agent's business.
    pub(super) claims: BTreeMap<Unit, (UnitHash, Arc<Claim>)>,
}

/// What of a unit is one agent's.
#[derive(Debug, Clone)]
pub enum Portion {
    /// Nothing: it need not even be listed.
    Nothing,
    /// The whole listing.
    Everything,
    /// The resources that the claim owns.
    Resources(Arc<Claim>),
}

impl Division {
    /// Whether the plan lists this agent with exactly these units of the schedule (hashed as [`UnitHash::of`] does).
    pub fn carries(&self, units: &UnitSet) -> bool {
        self.listed == *units
    }

    /// What of a unit is this agent's.
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

    /// Among how many agents a unit is divided, at least 1.
    pub fn members(&self, unit: &Unit) -> usize {
        self.claims
            .get(unit)
            .map_or(1, |(_, claim)| claim.members())
            .max(1)
    }

    /// The units of which something may be this agent's.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.claims.keys()
    }
}

/// Which resources of a unit are one agent's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    kind: Kind,
    /// What this agent polls of the unit in the same cycle anyhow.
    except: Option<Arc<Claim>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// By the plan of the cycle.
    Planned(Planned),
    /// By plans of former cycles, since that of this one cannot be had: owned under any of them.
    Former(Vec<(Carriers, usize)>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Planned {
    carriers: Carriers,
    /// The place of this agent among the carriers.
    me: usize,
    /// Who is out, by place.
    out: BTreeSet<usize>,
    /// Who was out at the step before this one: what was this agent's then, is no part of this step.
    before: Option<BTreeSet<usize>>,
    /// Who of those that are out is so by death, since the cycle began.
    dead: BTreeSet<usize>,
    /// What those that are out have finished.
    done: BTreeMap<usize, Vec<Taken>>,
}

/// A step of one that is out, by places.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Taken {
    out: BTreeSet<usize>,
    finished: bool,
}

impl Claim {
    /// Whether the resource with this key is this agent's.
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

    /// What is owned under any of these plans' carriers, each with this agent's place among them.
    pub(super) fn former(plans: Vec<(Carriers, usize)>) -> Self {
        Self {
            kind: Kind::Former(plans),
            except: None,
        }
    }

    /// Without what `except` has.
    pub(super) fn without(mut self, except: Option<Arc<Self>>) -> Self {
        self.except = except;
        self
    }
}

/// The steps of a unit that a claim is made of. Members are named by their numbers in the plan.
pub(super) struct Grounds<'a> {
    pub(super) me: usize,
    pub(super) out: &'a BTreeSet<u32>,
    pub(super) before: Option<&'a BTreeSet<u32>>,
    pub(super) dead: &'a BTreeSet<u32>,
    /// By number of the member.
    pub(super) marks: BTreeMap<u32, &'a [Step]>,
}

impl<'a> Grounds<'a> {
    /// Of a share of the plan, with that of those that are `out` from the beginning.
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
    /// Whether it surely has all that a plan with these carriers gives to this agent, if nobody is out.
    pub(super) fn includes_share(&self, carriers: &Carriers) -> bool {
        match &self.kind {
            Kind::Planned(_) => false,
            Kind::Former(plans) => plans.iter().any(|(former, _)| former.hashes == carriers.hashes),
        }
    }

    /// A claim on the grounds of a plan; `None` if this agent does not carry the unit, or is itself out.
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
        // Those that come before this agent must all be out.
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

    /// Whether one of those ahead has finished what became its own when all before it were out.
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

/// The members of a plan that carry a unit, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Carriers {
    hashes: Vec<MemberHash>,
    /// Their numbers in the plan; ascending.
    numbers: Vec<usize>,
}

impl Carriers {
    /// Those of `plan` that carry `unit`.
    pub fn of(plan: &Plan, unit: UnitHash) -> Self {
        Self::filtered(plan, |units| units.contains(&unit))
    }

    /// Those of `plan` whose units satisfy `carries`.
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

    /// The number in the plan of the one that owns the resource with this key.
    pub fn owner(&self, key: KeyHash) -> Option<usize> {
        first(&self.hashes, key).and_then(|place| self.numbers.get(place).copied())
    }

    /// The numbers in the plan in the order of their ranking for `key`.
    pub fn ranking(&self, key: KeyHash) -> Vec<usize> {
        let places = ranked(&self.hashes, key);
        places
            .into_iter()
            .filter_map(|place| self.numbers.get(place).copied())
            .collect()
    }

    /// The numbers in the plan.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// The place of the member with this number.
    pub(super) fn place(&self, number: usize) -> Option<usize> {
        self.numbers.binary_search(&number).ok()
    }
}
