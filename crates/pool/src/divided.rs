//! The division of a pool's work, computed from its members and plans in etcd.

use std::collections::{BTreeMap, BTreeSet};

use nephoscope_model::ScheduleId;

use crate::protocol::division::Candidates;
use crate::protocol::{AgentId, KeyHash, Plan, PlanMember, UnitHash};

use super::view::PoolView;

/// A unit of a plan, and its division.
#[derive(Debug)]
pub struct DividedUnit<'a> {
    /// The schedule whose cycles the plan divides.
    pub schedule: &'a ScheduleId,
    /// The plan.
    pub plan: &'a Plan,
    /// The unit.
    pub unit: UnitHash,
    view: &'a PoolView,
    candidates: Candidates,
}

/// A member's share of a unit.
#[derive(Debug, Clone, Copy)]
pub struct MemberShare<'a> {
    /// The member as the plan lists it.
    pub member: &'a PlanMember,
    /// The share of the keys, between 0 and 1.
    pub share: f64,
    /// Whether the member is present with the incarnation that the plan lists.
    pub present: bool,
}

/// The members that poll a key, in their order.
#[derive(Debug, Clone)]
pub struct KeyOwner<'a> {
    /// All candidates of the unit, the owner first.
    pub ranking: Vec<&'a PlanMember>,
    /// The member that takes over from the owner.
    pub successor: Successor<'a>,
}

/// The member that takes over a key from its owner.
#[derive(Debug, Clone, Copy)]
pub enum Successor<'a> {
    /// The unit has no candidates.
    NoCandidate,
    /// The owner is present.
    NotNeeded,
    /// The owner is gone; this member is next.
    Next(&'a PlanMember),
    /// All candidates are gone.
    AllGone,
}

impl PoolView {
    /// Returns each unit of each plan.
    pub fn divided(&self) -> impl Iterator<Item = DividedUnit<'_>> {
        self.plans.iter().flat_map(move |(schedule, plan)| {
            let members = plan.members.iter();
            let units: BTreeSet<UnitHash> = members.flat_map(|member| member.units.iter().copied()).collect();
            units.into_iter().map(move |unit| DividedUnit {
                schedule,
                plan,
                unit,
                view: self,
                candidates: Candidates::of(plan, unit),
            })
        })
    }

    /// Returns whether any plan lists a member with this id.
    pub fn is_planned(&self, id: &AgentId) -> bool {
        let mut members = self.plans.iter().flat_map(|(_, plan)| plan.members.iter());
        members.any(|member| member.id == *id)
    }

    fn is_present(&self, planned: &PlanMember) -> bool {
        let mut members = self.members.iter();
        members.any(|seen| seen.id == planned.id && seen.member.incarnation == planned.incarnation)
    }
}

impl<'a> DividedUnit<'a> {
    /// Returns each candidate's share of these keys.
    pub fn shares(&self, keys: &[String]) -> Vec<MemberShare<'a>> {
        let mut owned: BTreeMap<usize, u64> = BTreeMap::new();
        for owner in keys
            .iter()
            .filter_map(|key| self.candidates.owner(KeyHash::of(key)))
        {
            *owned.entry(owner).or_default() += 1;
        }
        let numbers = self.candidates.numbers().iter();
        let shares = numbers.filter_map(|number| {
            let member = self.plan.members.get(*number)?;
            let count = owned.get(number).copied().unwrap_or(0);
            Some(MemberShare {
                member,
                share: count as f64 / keys.len().max(1) as f64,
                present: self.view.is_present(member),
            })
        });
        shares.collect()
    }

    /// Returns the members that poll a key, as if the member with the id `without` were not listed.
    pub fn owner(&self, key: &str, without: Option<&str>) -> KeyOwner<'a> {
        let mut ranking = self.ranking(key);
        ranking.retain(|member| Some(member.id.as_str()) != without);
        let present = ranking.iter().position(|member| self.view.is_present(member));
        let successor = match present {
            _ if ranking.is_empty() => Successor::NoCandidate,
            Some(0) => Successor::NotNeeded,
            Some(place) => ranking
                .get(place)
                .map_or(Successor::AllGone, |next| Successor::Next(next)),
            None => Successor::AllGone,
        };
        KeyOwner { ranking, successor }
    }

    /// Returns the new owner of a key if the member with this id leaves; `None` if that member does not own the key.
    pub fn moves_from(&self, id: &AgentId, key: &str) -> Option<Option<&'a PlanMember>> {
        let mut ranking = self.ranking(key).into_iter();
        (ranking.next()?.id == *id).then(|| ranking.next())
    }

    fn ranking(&self, key: &str) -> Vec<&'a PlanMember> {
        let numbers = self.candidates.ranking(KeyHash::of(key)).into_iter();
        numbers
            .filter_map(|number| self.plan.members.get(number))
            .collect()
    }
}
