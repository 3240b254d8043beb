//! The encoding of a member.

use std::collections::BTreeMap;
use std::sync::Arc;

use nephoscope_model::ScheduleId;
use serde::{Deserialize, Serialize};

use super::bounds::{MAX_HOST, MAX_SCHEDULE, MAX_SCHEDULES, bounded};
use super::units::{units_form, units_of};
use crate::protocol::ids::{Incarnation, UnitHash};
use crate::protocol::invalid::InvalidReason;
use crate::protocol::member::{Member, Versions};

#[derive(Serialize, Deserialize)]
pub(super) struct MemberForm {
    protocol: u32,
    hash: u32,
    incarnation: String,
    host: Arc<str>,
    leaving: bool,
    schedules: BTreeMap<Arc<str>, Vec<String>>,
    meters: String,
}

impl From<&Member> for MemberForm {
    fn from(member: &Member) -> Self {
        Self {
            protocol: member.versions.protocol,
            hash: member.versions.hash,
            incarnation: member.incarnation.to_string(),
            host: member.host.clone(),
            leaving: member.leaving,
            schedules: member
                .schedules
                .iter()
                .map(|(schedule, units)| (schedule.as_str().into(), units_form(units)))
                .collect(),
            meters: UnitHash(member.meters).to_string(),
        }
    }
}

impl MemberForm {
    pub(super) fn check(self, versions: Versions) -> Result<Member, InvalidReason> {
        bounded(self.host.len(), "bytes in the host name", MAX_HOST)?;
        bounded(self.schedules.len(), "schedules", MAX_SCHEDULES)?;
        let mut schedules = BTreeMap::new();
        for (schedule, units) in self.schedules {
            bounded(schedule.len(), "bytes in a schedule", MAX_SCHEDULE)?;
            schedules.insert(ScheduleId::new(schedule), units_of(&units)?);
        }
        Ok(Member {
            incarnation: Incarnation::parse(&self.incarnation).ok_or(InvalidReason::Field("incarnation"))?,
            versions,
            host: self.host,
            leaving: self.leaving,
            schedules,
            meters: UnitHash::parse(&self.meters)
                .ok_or(InvalidReason::Field("meters"))?
                .0,
        })
    }
}
