//! The body of `/api/v1/members`: the pool of this agent. Times are UTC, durations are in seconds.

use std::collections::BTreeMap;

use nephoscope_pool::PoolStatus;
use nephoscope_pool::protocol::{LeaseState, Membership};
use serde::Serialize;

use crate::state::AdminState;

/// `/api/v1/members`
#[derive(Serialize)]
pub(crate) struct Members {
    backend: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<Pool>,
}

#[derive(Serialize)]
struct Pool {
    /// `none`, `joining`, `member`, `leaving`, `left`.
    membership: &'static str,
    incarnation: Option<String>,
    /// Whether the lease may have expired.
    lease_unconfirmed: bool,
    /// The age of the last keepalive that etcd acknowledged.
    lease_age: Option<f64>,
    members: Vec<Member>,
    schedules: Vec<Schedule>,
    etcd: Etcd,
    counts: Counts,
}

#[derive(Serialize)]
struct Member {
    id: String,
    host: String,
    incarnation: String,
    leaving: bool,
    /// The number of units of the member by schedule.
    units: BTreeMap<String, usize>,
}

#[derive(Serialize)]
struct Schedule {
    schedule: String,
    /// The start of the cycle of the newest plan.
    plan: Option<String>,
    /// The number of members in that plan.
    members: usize,
    /// Whether the plan contains this agent.
    listed: bool,
}

#[derive(Serialize)]
struct Etcd {
    cluster: Option<String>,
    endpoint: Option<String>,
    version: Option<String>,
    database_bytes: Option<u64>,
    used_bytes: Option<u64>,
    quota_bytes: u64,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    code: &'static str,
    text: String,
    for_seconds: f64,
}

#[derive(Serialize)]
struct Counts {
    joined: u64,
    lost: u64,
    takeovers: u64,
    cancelled: u64,
    without_plan: u64,
    fenced: u64,
    requests: u64,
    failed: u64,
    watched: u64,
}

pub(crate) fn members(state: &AdminState) -> Members {
    match state.pool() {
        None => Members {
            backend: "local",
            pool: None,
        },
        Some(status) => Members {
            backend: "etcd",
            pool: Some(status.into()),
        },
    }
}

impl From<PoolStatus> for Pool {
    fn from(status: PoolStatus) -> Self {
        let (membership, incarnation, lease_unconfirmed) = match status.agent.membership {
            Membership::None => ("none", None, false),
            Membership::Joining => ("joining", None, false),
            Membership::Left => ("left", None, false),
            Membership::Member {
                incarnation,
                lease,
                leaving,
            } => {
                let word = if leaving { "leaving" } else { "member" };
                (
                    word,
                    Some(incarnation.to_string()),
                    lease == LeaseState::Unconfirmed,
                )
            }
        };
        let members = status.members.into_iter().map(|member| Member {
            id: member.id.to_string(),
            host: member.host.to_string(),
            incarnation: member.incarnation.to_string(),
            leaving: member.leaving,
            units: member
                .units
                .into_iter()
                .map(|(schedule, units)| (schedule.to_string(), units))
                .collect(),
        });
        let schedules = status.agent.schedules.into_iter().map(|schedule| Schedule {
            schedule: schedule.schedule.to_string(),
            plan: schedule.plan.map(|start| start.to_string()),
            members: schedule.members,
            listed: schedule.listed,
        });
        let failures = status.failures.iter().map(|failure| Failure {
            code: failure.name(),
            text: format!("failed to {}: {}", failure.operation, failure.error),
            for_seconds: failure.duration.as_secs_f64(),
        });
        let health = status.health.as_ref();
        Self {
            membership,
            incarnation,
            lease_unconfirmed,
            lease_age: status.lease_age.map(|age| age.as_secs_f64()),
            members: members.collect(),
            schedules: schedules.collect(),
            etcd: Etcd {
                cluster: status.cluster.map(|cluster| format!("{cluster:016x}")),
                endpoint: health.map(|health| health.endpoint.clone()),
                version: health.map(|health| health.version.clone()),
                database_bytes: health.map(|health| health.database_bytes),
                used_bytes: health.map(|health| health.used_bytes),
                quota_bytes: status.quota,
                failures: failures.collect(),
            },
            counts: Counts {
                joined: status.counts.joined,
                lost: status.counts.lost,
                takeovers: status.counts.takeovers,
                cancelled: status.counts.cancelled,
                without_plan: status.counts.without_plan,
                fenced: status.counts.fenced,
                requests: status.counts.requests,
                failed: status.counts.failed,
                watched: status.counts.watched,
            },
        }
    }
}
