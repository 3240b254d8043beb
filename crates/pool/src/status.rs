//! The status of the backend, for readiness, metrics, the admin API and people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Histogram, ScheduleId};

use crate::etcd::{Health, StoreError};
use crate::protocol::{AgentId, Incarnation, Member, Status};

/// The status of the backend.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// The status of the agent in its pool.
    pub agent: Status,
    /// The failing operations on etcd.
    pub failures: Vec<EtcdFailure>,
    /// The last known health of etcd.
    pub health: Option<Health>,
    /// The database size at which etcd rejects writes.
    pub quota: u64,
    /// The id of etcd's cluster, once it is known.
    pub cluster: Option<u64>,
    /// The time since the last acknowledged keepalive was sent.
    pub lease_age: Option<Duration>,
    /// The members that this agent knows.
    pub members: Vec<MemberView>,
    /// Counters since the start of the process.
    pub counts: Counts,
    /// The durations of requests to etcd.
    pub request_durations: Histogram,
}

impl PoolStatus {
    /// Returns whether etcd's database has reached 80 % of its quota.
    pub fn is_quota_low(&self) -> bool {
        let quota = self.quota;
        self.health
            .as_ref()
            .is_some_and(|health| health.database_bytes >= quota / 5 * 4)
    }
}

/// A member that this agent knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// `agent.id`.
    pub id: AgentId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Its host.
    pub host: Arc<str>,
    /// Whether it is stopping.
    pub leaving: bool,
    /// The number of its units, by schedule.
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

/// An operation on etcd that currently fails.
#[derive(Debug, Clone)]
pub struct EtcdFailure {
    /// The operation, as a completion of "failed to ...".
    pub operation: &'static str,
    /// The error.
    pub error: StoreError,
    /// How long it has been failing.
    pub duration: Duration,
}

impl EtcdFailure {
    /// Returns the name of the error in readiness and metrics.
    pub fn name(&self) -> &'static str {
        self.error.name()
    }
}

/// Counters since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Times that this agent became a member.
    pub joined: u64,
    /// Memberships that were lost while the agent was running.
    pub lost: u64,
    /// Takeovers that this agent started.
    pub takeovers: u64,
    /// Cycles that were cancelled because other members had this agent's share.
    pub cancelled: u64,
    /// Cycles without a plan in time.
    pub without_plan: u64,
    /// Batches that the fence rejected.
    pub fenced: u64,
    /// Requests to etcd except keepalives: writes, reads, joins.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Changes of keys that watches delivered.
    pub watched: u64,
}

/// The error that another agent uses this agent's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`agent.id` is already in use by an agent on host {host}; stop that agent, or configure another id")]
pub struct DuplicateId {
    /// The host of the other agent.
    pub host: String,
}
