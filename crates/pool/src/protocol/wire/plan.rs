//! The encoding of a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use nephoscope_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::bounds::{MAX_MEMBERS, MAX_UNITS, bounded};
use super::units::{units_form, units_of};
use crate::protocol::ids::{AgentId, Incarnation};
use crate::protocol::invalid::InvalidReason;
use crate::protocol::member::{UnitSet, Versions};
use crate::protocol::plan::{Plan, PlanMember};

#[derive(Serialize, Deserialize)]
pub(super) struct PlanForm {
    protocol: u32,
    hash: u32,
    start: i64,
    written: i64,
    writer: String,
    sets: Vec<Vec<String>>,
    members: Vec<PlanMemberForm>,
}

#[derive(Serialize, Deserialize)]
struct PlanMemberForm {
    id: String,
    incarnation: String,
    /// The index of the set.
    units: usize,
}

impl From<&Plan> for PlanForm {
    fn from(plan: &Plan) -> Self {
        let mut sets: Vec<Vec<String>> = Vec::new();
        let mut numbers: BTreeMap<&UnitSet, usize> = BTreeMap::new();
        let members = plan.members.iter().map(|member| PlanMemberForm {
            id: member.id.to_string(),
            incarnation: member.incarnation.to_string(),
            units: *numbers.entry(&member.units).or_insert_with(|| {
                sets.push(units_form(&member.units));
                sets.len() - 1
            }),
        });
        let members = members.collect();
        Self {
            protocol: plan.versions.protocol,
            hash: plan.versions.hash,
            start: plan.start.as_millis(),
            written: plan.written.as_millis(),
            writer: plan.writer.to_string(),
            sets,
            members,
        }
    }
}

impl PlanForm {
    pub(super) fn check(self, versions: Versions) -> Result<Plan, InvalidReason> {
        bounded(self.members.len(), "members", MAX_MEMBERS)?;
        bounded(self.sets.iter().map(Vec::len).sum(), "units", MAX_UNITS)?;
        let sets = self
            .sets
            .iter()
            .map(|units| units_of(units).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let members = self.members.into_iter().map(|member| {
            Ok(PlanMember {
                id: AgentId::new(&member.id).ok_or(InvalidReason::Field("id"))?,
                incarnation: Incarnation::parse(&member.incarnation)
                    .ok_or(InvalidReason::Field("incarnation"))?,
                units: sets
                    .get(member.units)
                    .ok_or(InvalidReason::Field("members.units"))?
                    .clone(),
            })
        });
        let members = members.collect::<Result<Arc<[_]>, InvalidReason>>()?;
        if !members.is_sorted_by(|one, next| one.id < next.id) {
            return Err(InvalidReason::Field("members"));
        }
        Ok(Plan {
            start: Timestamp::from_millis(self.start),
            written: Timestamp::from_millis(self.written),
            writer: AgentId::new(&self.writer).ok_or(InvalidReason::Field("writer"))?,
            versions,
            members,
        })
    }
}
