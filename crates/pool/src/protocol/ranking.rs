//! The ranking: in which order the members of a plan come for a resource. Fixed for all versions of [`Versions::hash`](super::Versions) 1.
//!
//! Rendezvous hashing. A key and a member's id are each hashed once, with SipHash-1-3 under the key 0; a member's score
//! for a key is `mix(hash(key) xor hash(id))`, where `mix` is the finalizer of SplitMix64. The greater score comes first;
//! equal scores, that is equal hashes of ids, come by id. So adding a member takes from each other one what falls to the
//! new one, and nothing else moves; removing one moves its share alone.
//!
//! The group's name is not hashed: a resource that several listings show has the same owner in all of them.

use super::hash::hash;
use super::ids::AgentId;

/// The hash of a resource's key; computed once a resource, and ranked against many members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The hash of a key.
    pub fn of(key: &str) -> Self {
        Self(hash(key.as_bytes()))
    }

    /// A hash that was computed already.
    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// The hash of a member's id; computed once a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberHash(u64);

impl MemberHash {
    /// The hash of an id.
    pub fn of(id: &AgentId) -> Self {
        Self(hash(id.as_str().as_bytes()))
    }

    /// How high the member ranks for a key; two members with different hashes never have the same score for one key.
    #[inline]
    pub fn score(self, key: KeyHash) -> u64 {
        mix(self.0 ^ key.0)
    }
}

/// The place in `members` of the one that ranks first for `key`; `None` if there is none. `members` must be in the order of
/// their ids: the first of equals wins.
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

/// The places in `members` in the order of their ranking for `key`. `members` must be in the order of their ids.
pub fn ranked(members: &[MemberHash], key: KeyHash) -> Vec<usize> {
    let mut places: Vec<_> = members
        .iter()
        .enumerate()
        .map(|(place, member)| (std::cmp::Reverse(member.score(key)), place))
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, place)| place).collect()
}

/// The finalizer of SplitMix64: every bit of the input changes about half of the bits of the output.
#[inline]
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
