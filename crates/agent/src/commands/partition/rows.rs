//! The output rows of `partition`, as JSON and as tables.

use std::collections::BTreeMap;

use nephoscope_pool::protocol::{AgentId, UnitHash};
use nephoscope_pool::{PoolView, SeenMember, Successor};
use serde::Serialize;

use super::PartitionError;

/// A pool and the names of its units.
pub(super) struct Pool {
    pub(super) view: PoolView,
    pub(super) units: BTreeMap<UnitHash, String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MemberRow {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) host: String,
    pub(super) incarnation: String,
    pub(super) leaving: bool,
    /// Seconds since the last renewal of the lease.
    pub(super) lease_age: Option<u64>,
    /// Units by schedule.
    pub(super) units: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Serialize)]
pub(super) struct PlanRow {
    pub(super) kind: &'static str,
    pub(super) schedule: String,
    /// The start of the cycle of the plan.
    pub(super) start: String,
    pub(super) writer: String,
    pub(super) unit: String,
    pub(super) member: String,
    pub(super) incarnation: String,
    /// The share of the keys of the unit, between 0 and 1.
    pub(super) share: f64,
    /// Whether the key of the member exists with this incarnation.
    pub(super) present: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct OwnerRow {
    pub(super) kind: &'static str,
    pub(super) schedule: String,
    pub(super) unit: String,
    pub(super) key: String,
    pub(super) owner: Option<String>,
    /// The reason for this owner.
    pub(super) why: String,
    /// The order of candidates.
    pub(super) ranking: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MovedRow {
    pub(super) kind: &'static str,
    pub(super) schedule: String,
    pub(super) unit: String,
    pub(super) key: String,
    pub(super) from: String,
    pub(super) to: Option<String>,
}

impl Pool {
    fn name(&self, unit: UnitHash) -> String {
        self.units.get(&unit).cloned().unwrap_or_else(|| unit.to_string())
    }

    /// Returns the members.
    pub(super) fn members(&self) -> Vec<MemberRow> {
        let row = |seen: &SeenMember| MemberRow {
            kind: "member",
            id: seen.id.to_string(),
            host: seen.member.host.to_string(),
            incarnation: seen.member.incarnation.to_string(),
            leaving: seen.member.leaving,
            lease_age: seen.lease_age.map(|age| age.as_secs()),
            units: seen
                .member
                .schedules
                .iter()
                .map(|(schedule, units)| {
                    let units = units.iter().map(|unit| self.name(*unit));
                    (schedule.to_string(), units.collect())
                })
                .collect(),
        };
        self.view.members.iter().map(row).collect()
    }

    /// Returns the share of each member in each unit of each plan, computed from these keys.
    pub(super) fn plans(&self, keys: &[String]) -> Vec<PlanRow> {
        let mut rows = Vec::new();
        for unit in self.view.divided() {
            let shares = unit.shares(keys).into_iter();
            rows.extend(shares.map(|part| PlanRow {
                kind: "plan",
                schedule: unit.schedule.to_string(),
                start: unit.plan.start.to_string(),
                writer: unit.plan.writer.to_string(),
                unit: self.name(unit.unit),
                member: part.member.id.to_string(),
                incarnation: part.member.incarnation.to_string(),
                share: part.share,
                present: part.present,
            }));
        }
        rows
    }

    /// Returns the owner of a key in each unit, as if the member `without` were not in the plan.
    pub(super) fn owners(&self, key: &str, without: Option<&str>) -> impl Iterator<Item = OwnerRow> {
        self.view.divided().map(move |unit| {
            let owner = unit.owner(key, without);
            let why = match owner.successor {
                Successor::NoCandidate => "no member has the unit".to_owned(),
                Successor::NotNeeded => "first of its ranking in the plan".to_owned(),
                Successor::Next(next) => format!(
                    "first of its ranking in the plan, but gone: `{}` takes over",
                    next.id
                ),
                Successor::AllGone => {
                    "first of its ranking in the plan, but all members with the unit are gone".to_owned()
                }
            };
            OwnerRow {
                kind: "owner",
                schedule: unit.schedule.to_string(),
                unit: self.name(unit.unit),
                key: key.to_owned(),
                owner: owner.ranking.first().map(|owner| owner.id.to_string()),
                why,
                ranking: owner.ranking.iter().map(|member| member.id.to_string()).collect(),
            }
        })
    }

    /// Returns the keys that move without this member.
    pub(super) fn moved(&self, member: &str, keys: &[String]) -> Result<Vec<MovedRow>, PartitionError> {
        let id = AgentId::new(member).ok_or_else(|| PartitionError::Id(member.to_owned()))?;
        if !self.view.is_planned(&id) {
            return Err(PartitionError::Unknown(member.to_owned()));
        }
        let mut rows = Vec::new();
        for unit in self.view.divided() {
            for key in keys {
                if let Some(to) = unit.moves_from(&id, key) {
                    rows.push(MovedRow {
                        kind: "moved",
                        schedule: unit.schedule.to_string(),
                        unit: self.name(unit.unit),
                        key: key.clone(),
                        from: member.to_owned(),
                        to: to.map(|next| next.id.to_string()),
                    });
                }
            }
        }
        Ok(rows)
    }
}
