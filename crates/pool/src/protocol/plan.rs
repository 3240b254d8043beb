//! The plan of a cycle: the members that divide it.

use std::sync::Arc;

use nephoscope_model::Timestamp;

use super::ids::{AgentId, Incarnation};
use super::member::{UnitSet, Versions};

/// The value of `plans/<schedule>`. It is overwritten for every cycle, only with a greater start, and never changed
/// otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    /// The nominal start of the divided cycle.
    pub start: Timestamp,
    /// The time of writing by the writer's wall clock. Used only to compare clocks, never for ordering.
    pub written: Timestamp,
    /// The writer, for people and for the comparison of clocks.
    pub writer: AgentId,
    /// The lowest versions of its members.
    pub versions: Versions,
    /// The members that have a unit of the schedule, sorted by id. A member's index is its number in marks.
    pub members: Arc<[PlanMember]>,
}

/// A member as a plan lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanMember {
    /// Its id.
    pub id: AgentId,
    /// The listed membership. Another membership with the same id is not in the plan.
    pub incarnation: Incarnation,
    /// Its units of the schedule.
    pub units: Arc<UnitSet>,
}

impl Plan {
    /// Returns the number of the member with this id and incarnation.
    pub fn position(&self, id: &AgentId, incarnation: Incarnation) -> Option<usize> {
        let at = self.members.binary_search_by(|member| member.id.cmp(id)).ok()?;
        (self.members.get(at)?.incarnation == incarnation).then_some(at)
    }
}
