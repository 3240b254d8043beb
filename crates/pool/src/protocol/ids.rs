//! Identifiers of agents, memberships, units and revisions.

use std::fmt;
use std::sync::Arc;

use nephoscope_coordination::Unit;

use super::hash::hash_fields;

/// The maximum length of `agent.id`, in bytes.
pub const MAX_AGENT_ID: usize = 128;

/// `agent.id`: 1 to [`MAX_AGENT_ID`] characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(Arc<str>);

impl AgentId {
    /// Validates the text; returns `None` if it is not an id.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=MAX_AGENT_ID).contains(&text.len());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        (fits && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The id of one membership: 128 random bits, drawn at every join, so that a plan's share for a former membership is never
/// confused with its successor's. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u128);

impl Incarnation {
    /// Parses exactly 32 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex(text, 32).map(Self)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The id of a unit within its schedule: a hash of the group's prefix, the discovery and the partition mode. Written as 16
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitHash(pub u64);

impl UnitHash {
    /// Hashes a unit in the groups of `group_prefix` (`coordination.group_prefix`). The schedule is not hashed: unit hashes
    /// are always stored with their schedule.
    pub fn of(group_prefix: &str, unit: &Unit) -> Self {
        Self(hash_fields(&[group_prefix, &unit.discovery, unit.mode.as_str()]))
    }

    /// Parses exactly 16 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex(text, 16).and_then(|bits| u64::try_from(bits).ok()).map(Self)
    }
}

impl fmt::Display for UnitHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl fmt::Debug for UnitHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A revision of etcd's store, which increases with every change. [`Revision::NONE`] means that the key does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl Revision {
    /// The revision that etcd compares for a key that does not exist.
    pub const NONE: Self = Self(0);
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lowercase = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(lowercase) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_id_has_safe_characters_only() {
        for valid in ["a", "node-1.example.org", "A_b.C-9", &"x".repeat(128)] {
            assert!(AgentId::new(valid).is_some(), "{valid}");
        }
        for invalid in ["", "a/b", "a b", "a\n", "ä", "a%2f", &"x".repeat(129)] {
            assert!(AgentId::new(invalid).is_none(), "{invalid}");
        }
    }

    #[test]
    fn hexadecimal_ids_have_one_spelling() {
        let incarnation = Incarnation(0xab);
        assert_eq!(Incarnation::parse(&incarnation.to_string()), Some(incarnation));
        assert_eq!(Incarnation::parse("000000000000000000000000000000AB"), None);
        assert_eq!(Incarnation::parse("ab"), None);
        assert_eq!(UnitHash::parse("+00000000000000a"), None);
        assert_eq!(UnitHash::parse("000000000000000a"), Some(UnitHash(10)));
    }
}
