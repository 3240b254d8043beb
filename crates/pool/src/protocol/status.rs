//! How an agent stands in its pool, for readiness, metrics and people.

use std::fmt;
use std::time::Duration;

use nephoscope_model::{ScheduleId, Timestamp};

use super::ids::{AgentId, Incarnation};
use super::lease::Standing;
use super::member::Versions;

/// How an agent stands in its pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it is a member.
    pub membership: Membership,
    /// What is not as it should be, each once; empty if all is well.
    pub reasons: Vec<Reason>,
    /// How many members there are, as far as is known, this agent and those who leave included.
    pub members: usize,
    /// The schedules with shared units that this agent carries.
    pub schedules: Vec<ScheduleStatus>,
}

/// Whether an agent is a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// It carries nothing that is shared, and needs none.
    None,
    /// It is about to join.
    Joining,
    /// It is a member.
    Member {
        /// As which one.
        incarnation: Incarnation,
        /// How its lease stands.
        lease: Standing,
        /// It stops.
        leaving: bool,
    },
    /// It has left.
    Left,
}

/// A schedule as an agent knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleStatus {
    /// Which one.
    pub schedule: ScheduleId,
    /// The nominal start of the newest plan that is known.
    pub plan: Option<Timestamp>,
    /// How many members it lists.
    pub members: usize,
    /// Whether it lists this agent.
    pub listed: bool,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It is no member yet, or no longer, and joins.
    NotJoined,
    /// Its id belongs to another agent that lives.
    IdTaken {
        /// The host of the other one.
        host: String,
    },
    /// etcd cannot be reached; with `on_loss: continue` polling goes on.
    StoreLost {
        /// Whether shared units are polled meanwhile.
        polling: bool,
    },
    /// The lease has not been acknowledged for so long that it may be gone.
    LeaseDoubtful,
    /// The clock differs from those of the other members: this agent writes no plan.
    ClockOff {
        /// How far.
        by: Duration,
    },
    /// Plans of a schedule are made in versions that this program does not know: nothing of it is polled.
    UnknownVersions {
        /// Which schedule.
        schedule: ScheduleId,
        /// Which versions.
        versions: Versions,
    },
    /// The last cycle of a schedule had no plan in time.
    NoPlan {
        /// Which schedule.
        schedule: ScheduleId,
        /// Whether it was polled nevertheless.
        polled: bool,
    },
    /// A key in etcd cannot be read.
    BadKey {
        /// Which key.
        key: String,
    },
    /// A member with the same units wants different meters of them.
    Drift {
        /// One such member.
        member: AgentId,
    },
}

impl Reason {
    /// Whether due shared units are not polled because of this: the agent is not ready.
    pub fn stops_polling(&self) -> bool {
        match self {
            Self::NotJoined | Self::IdTaken { .. } | Self::UnknownVersions { .. } => true,
            // Shared units are polled by the plans of others; but an operator must set the clock.
            Self::ClockOff { .. } => true,
            Self::StoreLost { polling } => !polling,
            Self::NoPlan { polled, .. } => !polled,
            Self::LeaseDoubtful | Self::BadKey { .. } | Self::Drift { .. } => false,
        }
    }

    /// The word for it in readiness and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotJoined => "not_joined",
            Self::IdTaken { .. } => "id_taken",
            Self::StoreLost { .. } => "degraded",
            Self::LeaseDoubtful => "lease_doubtful",
            Self::ClockOff { .. } => "clock_off",
            Self::UnknownVersions { .. } => "unknown_versions",
            Self::NoPlan { .. } => "no_plan",
            Self::BadKey { .. } => "bad_key",
            Self::Drift { .. } => "drift",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJoined => out.write_str("not a member of the pool"),
            Self::IdTaken { host } => write!(out, "agent.id is in use by an agent on host {host}"),
            Self::StoreLost { polling: true } => {
                out.write_str("etcd cannot be reached, polling by the last plans")
            }
            Self::StoreLost { polling: false } => {
                out.write_str("etcd cannot be reached, shared units are not polled")
            }
            Self::LeaseDoubtful => out.write_str("the lease was not acknowledged in time"),
            Self::ClockOff { by } => write!(
                out,
                "the clock differs by {:.3} s from those of the other members",
                by.as_secs_f64()
            ),
            Self::UnknownVersions { schedule, versions } => write!(
                out,
                "plans of {schedule} are made in protocol {} with hash {}, which this version does not know",
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
            Self::BadKey { key } => write!(out, "cannot read {key}"),
            Self::Drift { member } => {
                write!(out, "{member} has the same units, but wants other meters of them")
            }
        }
    }
}
