//! The keys of the protocol and their values.

use nephoscope_model::ScheduleId;

use super::ids::{AgentId, Incarnation, Revision};
use super::invalid::InvalidRecord;
use super::mark::{GiveUps, Marks};
use super::member::Member;
use super::plan::Plan;

/// A key, without the prefix of the pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `members/<agent.id>`, under the presence lease.
    Member(AgentId),
    /// `plans/<schedule>`, under the record lease of its last writer.
    Plan(ScheduleId),
    /// `marks/<schedule>/<incarnation>`, under the record lease.
    Marks(ScheduleId, Incarnation),
    /// `gaveup/<schedule>/<incarnation>`, under the record lease.
    GiveUps(ScheduleId, Incarnation),
}

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Of [`Key::Member`].
    Member(Member),
    /// Of [`Key::Plan`].
    Plan(Plan),
    /// Of [`Key::Marks`].
    Marks(Marks),
    /// Of [`Key::GiveUps`].
    GiveUps(GiveUps),
}

/// A key in etcd, or its change in a watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The revision of this change: the put or the deletion.
    pub revision: Revision,
    /// The revision of the key's creation; [`Revision::NONE`] for a deletion.
    pub created: Revision,
    /// The untrusted content.
    pub content: Content,
}

/// The content of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// A valid value of the key's kind.
    Value(Value),
    /// An invalid value.
    Invalid(InvalidRecord),
    /// The key was deleted, or its lease expired.
    Deleted,
}
