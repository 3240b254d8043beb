//! The keys of the protocol and what stands under them.

use nephoscope_model::ScheduleId;

use super::bad::BadValue;
use super::ids::{AgentId, Incarnation, Revision};
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

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Under [`Key::Member`].
    Member(Member),
    /// Under [`Key::Plan`].
    Plan(Plan),
    /// Under [`Key::Marks`].
    Marks(Marks),
    /// Under [`Key::GiveUps`].
    GiveUps(GiveUps),
}

/// A key as it stands in etcd, or as a watch saw it change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Which key.
    pub key: Key,
    /// The revision of this change: of the put, or of the deletion.
    pub revision: Revision,
    /// The revision at which the key came into being; [`Revision::NONE`] for a deletion.
    pub created: Revision,
    /// What stands there; anybody may have written it.
    pub content: Content,
}

/// What stands under a key, if anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// A value that is sound, and of the kind that the key says.
    Value(Value),
    /// Something that cannot be read.
    Bad(BadValue),
    /// The key was deleted, by hand or with its lease.
    Deleted,
}
