//! The status of an agent in its pool, for readiness, metrics and people.

use std::fmt;
use std::time::Duration;

use nephoscope_model::{ScheduleId, Timestamp};

use super::ids::{AgentId, Incarnation};
use super::lease::LeaseState;
use super::member::Versions;

/// The status of an agent in its pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it is a member.
    pub membership: Membership,
    /// The current problems, each once; empty if there are none.
    pub reasons: Vec<Reason>,
    /// The number of known members, including this agent and leaving ones.
    pub members: usize,
    /// The schedules with shared units of this agent.
    pub schedules: Vec<ScheduleStatus>,
}

/// Whether an agent is a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// It has no shared units and needs no membership.
    None,
    /// It is joining.
    Joining,
    /// It is a member.
    Member {
        /// Its incarnation.
        incarnation: Incarnation,
        /// The state of its lease.
        lease: LeaseState,
        /// Whether it is stopping.
        leaving: bool,
    },
    /// It has left.
    Left,
}

/// An agent's view of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleStatus {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The nominal start of the newest known plan.
    pub plan: Option<Timestamp>,
    /// The number of members in the plan.
    pub members: usize,
    /// Whether the plan lists this agent.
    pub listed: bool,
}

/// A problem of the agent in its pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It is not a member yet, or no longer, and is joining.
    NotJoined,
    /// Another running agent uses its id.
    DuplicateId {
        /// The host of the other agent.
        host: String,
    },
    /// etcd is unreachable; with `on_loss: continue` polling continues.
    StoreLost {
        /// Whether shared units are polled meanwhile.
        polling: bool,
    },
    /// The lease was not acknowledged for so long that it may have expired.
    LeaseUnconfirmed,
    /// The clock differs from the other members' clocks: this agent writes no plan.
    ClockSkew {
        /// The difference.
        by: Duration,
    },
    /// Plans of a schedule are written in versions that this program does not support: its shared units are not polled.
    UnknownVersions {
        /// The schedule.
        schedule: ScheduleId,
        /// The versions.
        versions: Versions,
    },
    /// The last cycle of a schedule had no plan in time.
    NoPlan {
        /// The schedule.
        schedule: ScheduleId,
        /// Whether it was polled anyway.
        polled: bool,
    },
    /// A key in etcd is invalid.
    InvalidKey {
        /// The key.
        key: String,
    },
    /// A member with the same units has different meters configured.
    ConfigMismatch {
        /// One such member.
        member: AgentId,
    },
}

impl Reason {
    /// Returns whether due shared units are not polled because of this, so that the agent is not ready.
    pub fn stops_polling(&self) -> bool {
        match self {
            Self::NotJoined | Self::DuplicateId { .. } | Self::UnknownVersions { .. } => true,
            // Shared units are polled by other members' plans, but an operator must set the clock.
            Self::ClockSkew { .. } => true,
            Self::StoreLost { polling } => !polling,
            Self::NoPlan { polled, .. } => !polled,
            Self::LeaseUnconfirmed | Self::InvalidKey { .. } | Self::ConfigMismatch { .. } => false,
        }
    }

    /// Returns the name of the reason in readiness and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotJoined => "not_joined",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::StoreLost { .. } => "degraded",
            Self::LeaseUnconfirmed => "lease_unconfirmed",
            Self::ClockSkew { .. } => "clock_skew",
            Self::UnknownVersions { .. } => "unknown_versions",
            Self::NoPlan { .. } => "no_plan",
            Self::InvalidKey { .. } => "invalid_key",
            Self::ConfigMismatch { .. } => "config_mismatch",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJoined => out.write_str("not a member of the pool"),
            Self::DuplicateId { host } => {
                write!(out, "agent.id is already in use by an agent on host {host}")
            }
            Self::StoreLost { polling: true } => {
                out.write_str("etcd is unreachable, polling by the last plans")
            }
            Self::StoreLost { polling: false } => {
                out.write_str("etcd is unreachable, shared units are not polled")
            }
            Self::LeaseUnconfirmed => out.write_str("the lease was not acknowledged in time"),
            Self::ClockSkew { by } => write!(
                out,
                "the clock differs by {:.3} s from the clocks of the other members",
                by.as_secs_f64()
            ),
            Self::UnknownVersions { schedule, versions } => write!(
                out,
                "plans of {schedule} are written in protocol {} with hash {}, which this version does not support",
                versions.protocol, versions.hash
            ),
            Self::NoPlan {
                schedule,
                polled: true,
            } => write!(
                out,
                "no plan in time for the last cycle of {schedule}, polled by the last plans"
            ),
            Self::NoPlan {
                schedule,
                polled: false,
            } => write!(
                out,
                "no plan in time for the last cycle of {schedule}, not polled"
            ),
            Self::InvalidKey { key } => write!(out, "invalid key in etcd: {key}"),
            Self::ConfigMismatch { member } => {
                write!(out, "{member} has the same units but different meters configured")
            }
        }
    }
}
