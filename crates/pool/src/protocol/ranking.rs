//! The ranking: the order of a plan's members for a resource. Fixed for [`Versions::hash`](super::Versions) 1.
//!
//! Rendezvous hashing. A key and a member's id are each hashed once, with SipHash-1-3 under the key 0. A member's score for
//! a key is `mix(hash(key) xor hash(id))`, where `mix` is the finalizer of SplitMix64. The highest score ranks first; equal
//! scores, which means equal hashes of ids, are ordered by id. An added member takes its share from the other members, and
//! nothing else moves; a removed member's share moves, and nothing else.
//!
//! The group's name is not hashed: a resource of several discoveries has the same owner in all of them.

use super::hash::hash;
use super::ids::AgentId;

/// The hash of a resource's key; computed once per resource and ranked against many members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Hashes a key.
    pub fn of(key: &str) -> Self {
        Self(hash(key.as_bytes()))
    }

    /// Creates it from a computed hash.
    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// The hash of a member's id; computed once per plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberHash(u64);

impl MemberHash {
    /// Hashes an id.
    pub fn of(id: &AgentId) -> Self {
        Self(hash(id.as_str().as_bytes()))
    }

    /// Returns the member's score for a key. Members with different hashes never have the same score for one key.
    #[inline]
    pub fn score(self, key: KeyHash) -> u64 {
        mix(self.0 ^ key.0)
    }
}

/// Returns the index in `members` of the first in the ranking for `key`; `None` if it is empty. `members` must be sorted by
/// id: the first of equal scores wins.
#[inline]
pub fn first(members: &[MemberHash], key: KeyHash) -> Option<usize> {
    let mut best = (members.first()?.score(key), 0);
    for (place, member) in members.iter().enumerate().skip(1) {
        let score = member.score(key);
        if score > best.0 {
            best = (score, place);
        }
    }
    Some(best.1)
}

/// Returns the indices in `members` in the order of their ranking for `key`. `members` must be sorted by id.
pub fn ranked(members: &[MemberHash], key: KeyHash) -> Vec<usize> {
    let mut places: Vec<_> = members
        .iter()
        .enumerate()
        .map(|(place, member)| (std::cmp::Reverse(member.score(key)), place))
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, place)| place).collect()
}

/// The finalizer of SplitMix64: every input bit changes about half of the output bits.
#[inline]
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
