//! How the backend stands, for readiness, metrics, the admin API and people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::ScheduleId;

use crate::etcd::{Health, StoreError};
use crate::protocol::{AgentId, Incarnation, Member, Status};

/// How the backend stands.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// How the agent stands in its pool.
    pub agent: Status,
    /// What does not work with etcd, and since when.
    pub troubles: Vec<Trouble>,
    /// How etcd was when it was last asked.
    pub health: Option<Health>,
    /// The size at which etcd takes no more writes.
    pub quota: u64,
    /// The id of etcd's cluster, once it is known.
    pub cluster: Option<u64>,
    /// How long ago the keepalive was sent that etcd acknowledged last.
    pub lease_age: Option<Duration>,
    /// The members as this agent knows them.
    pub members: Vec<MemberView>,
    /// What happened so far.
    pub counts: Counts,
}

impl PoolStatus {
    /// Whether etcd's database has reached 80 % of its quota.
    pub fn is_filling(&self) -> bool {
        let quota = self.quota;
        self.health
            .as_ref()
            .is_some_and(|health| health.database_bytes >= quota / 5 * 4)
    }
}

/// A member as this agent knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// `agent.id`.
    pub id: AgentId,
    /// Which membership.
    pub incarnation: Incarnation,
    /// Its host.
    pub host: Arc<str>,
    /// Whether it stops.
    pub leaving: bool,
    /// How many units it carries, by schedule.
    pub units: BTreeMap<ScheduleId, usize>,
}

impl MemberView {
    pub(super) fn of(id: &AgentId, member: &Member) -> Self {
        let units = member
            .schedules
            .iter()
            .map(|(schedule, units)| (schedule.clone(), units.len()));
        Self {
            id: id.clone(),
            incarnation: member.incarnation,
            host: member.host.clone(),
            leaving: member.leaving,
            units: units.collect(),
        }
    }
}

/// Something that does not work with etcd.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What was tried, to complete "failed to ...".
    pub what: &'static str,
    /// Why it failed.
    pub error: StoreError,
    /// For how long it has been so.
    pub lasts: Duration,
}

impl Trouble {
    /// The word for it in readiness and metrics.
    pub fn name(&self) -> &'static str {
        self.error.name()
    }
}

/// What happened since the process was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Times that this agent became a member.
    pub joined: u64,
    /// Memberships that were lost while the agent lived.
    pub lost: u64,
    /// Successions that this agent took on.
    pub successions: u64,
    /// Cycles that were cut off, since others had what was this agent's.
    pub cancelled: u64,
    /// Cycles without a plan in time.
    pub without_plan: u64,
    /// Batches that the fence held back.
    pub fenced: u64,
    /// Requests to etcd besides keepalives: writes, reads, joins.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Keys and changes that came from watches.
    pub watched: u64,
}

/// The agent that has this one's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`agent.id` is in use by an agent on host {host}; stop that one, or give this one another id")]
pub struct Holder {
    /// Its host.
    pub host: String,
}
