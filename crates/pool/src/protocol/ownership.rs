//! Owners of keys, computed without etcd, for `nephoscope partition`.

use super::ids::AgentId;
use super::ranking::{KeyHash, MemberHash, first, ranked};

/// Members that all have the same units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Sorted by id, without duplicates.
    ids: Vec<AgentId>,
    hashes: Vec<MemberHash>,
}

impl Ownership {
    /// Creates the ownership among these members, in any order.
    pub fn among(members: impl IntoIterator<Item = AgentId>) -> Self {
        let mut ids: Vec<_> = members.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let hashes = ids.iter().map(MemberHash::of).collect();
        Self { ids, hashes }
    }

    /// Returns the members, sorted by id.
    pub fn members(&self) -> &[AgentId] {
        &self.ids
    }

    /// Returns the owner of the resource with this key; `None` if there are no members.
    pub fn owner(&self, key: &str) -> Option<&AgentId> {
        first(&self.hashes, KeyHash::of(key)).and_then(|place| self.ids.get(place))
    }

    /// Returns the owner, followed by the members that would take over.
    pub fn ranking(&self, key: &str) -> Vec<&AgentId> {
        let places = ranked(&self.hashes, KeyHash::of(key));
        places
            .into_iter()
            .filter_map(|place| self.ids.get(place))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn members(count: usize) -> Ownership {
        Ownership::among((0..count).filter_map(|number| AgentId::new(&format!("node-{number}"))))
    }

    /// Returns the largest share divided by the mean share, for one set of keys.
    fn imbalance(members: &Ownership, set: usize) -> f64 {
        let mut shares: BTreeMap<&AgentId, usize> = BTreeMap::new();
        for key in 0..10_000 {
            let owner = members.owner(&format!("set-{set}/{key:08x}")).unwrap();
            *shares.entry(owner).or_default() += 1;
        }
        let largest = shares.into_values().max().unwrap();
        largest as f64 * members.members().len() as f64 / 10_000.0
    }

    #[test]
    fn shares_are_as_even_as_those_of_a_perfect_hash() {
        let members = members(50);
        let sets: Vec<_> = (0..100).map(|set| imbalance(&members, set)).collect();
        let mean = sets.iter().sum::<f64>() / 100.0;
        let worst = sets.into_iter().fold(0.0, f64::max);
        println!("largest share / mean of 50 members: {mean:.3} on average, {worst:.3} at worst");
        assert!(mean <= 1.18, "{mean}");
        assert!(worst <= 1.33, "{worst}");
    }

    #[test]
    fn only_the_share_of_a_leaving_member_moves() {
        let before = members(10);
        let left = before.members()[3].clone();
        let after = Ownership::among(before.members().iter().filter(|id| **id != left).cloned());
        let keys: Vec<_> = (0..10_000).map(|key| format!("volume-{key}")).collect();
        let mut moved = 0;
        for key in &keys {
            let (old, new) = (before.owner(key).unwrap(), after.owner(key).unwrap());
            if *old == left {
                assert_eq!(Some(new), before.ranking(key).get(1).copied());
                moved += 1;
            } else {
                assert_eq!(old, new);
            }
        }
        assert!((800..1_200).contains(&moved), "{moved}");
    }

    #[test]
    fn the_ranking_is_fixed_for_all_versions() {
        let members = Ownership::among(["a", "b", "c"].into_iter().filter_map(AgentId::new));
        let rankings = ["", "vm-1", "vm-2", "volume/ü"].map(|key| {
            let ranking: Vec<_> = members.ranking(key).iter().map(|id| id.as_str()).collect();
            ranking.join("")
        });
        insta::assert_debug_snapshot!(rankings);
    }
}
