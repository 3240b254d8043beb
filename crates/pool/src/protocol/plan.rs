//! The plan of a cycle: the members that divide it, the same for all of them.

use std::sync::Arc;

use nephoscope_model::Timestamp;

use super::ids::{AgentId, Incarnation};
use super::member::{UnitSet, Versions};

/// The value of `plans/<schedule>`: it is overwritten for every cycle, only ever with a greater start, and never changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    /// The nominal start of the cycle that it divides.
    pub start: Timestamp,
    /// What its writer's wall clock said. Only clocks are compared by it; no order is.
    pub written: Timestamp,
    /// Who wrote it, for people and for the comparison of clocks.
    pub writer: AgentId,
    /// The lowest versions of its members.
    pub versions: Versions,
    /// Members that carry a unit of the schedule, each once, in the order of their ids. A member's place here is its number
    /// in marks.
    pub members: Arc<[PlanMember]>,
}

/// A member as a plan lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanMember {
    /// Its id.
    pub id: AgentId,
    /// The membership that the plan counts on. Another one under the same id is not in the plan.
    pub incarnation: Incarnation,
    /// What it carries of the schedule.
    pub units: Arc<UnitSet>,
}

impl Plan {
    /// The number of the member with this id and incarnation.
    pub fn position(&self, id: &AgentId, incarnation: Incarnation) -> Option<usize> {
        let at = self.members.binary_search_by(|member| member.id.cmp(id)).ok()?;
        (self.members.get(at)?.incarnation == incarnation).then_some(at)
    }
}
