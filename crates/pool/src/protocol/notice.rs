//! The machine's notices: one variant for each important log line.

use std::fmt;
use std::time::Duration;

use nephoscope_model::{CycleId, ScheduleId};

use super::ids::{AgentId, Incarnation};
use super::invalid::InvalidRecord;
use super::member::Versions;

/// A notice for the log and the metrics. It is repeated only when the event happens again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Notice {
    /// INFO: this agent has joined the pool.
    Joined(Incarnation),
    /// WARN: the membership was lost while the agent runs; it joins again.
    LostMembership,
    /// ERROR: another running agent uses this agent's id.
    DuplicateId {
        /// The host of the other agent.
        host: String,
    },
    /// WARN: etcd is unreachable.
    StoreLost,
    /// INFO: etcd is reachable again.
    StoreRestored,
    /// WARN: the cycle has no plan in time; the agent polls by the last two plans (`continue`), or not at all (`pause`).
    NoPlanInTime(CycleId),
    /// INFO: this agent takes over other members' unfinished work.
    Takeover {
        /// The cycle.
        cycle: CycleId,
        /// The members that are out.
        gone: Vec<AgentId>,
    },
    /// WARN: a cycle is finished although its membership is lost, because no other member has its units.
    FinishedWithoutMembership(CycleId),
    /// WARN: work was cancelled because its membership is lost and other members have it.
    Cancelled(CycleId),
    /// ERROR: the wall clock differs from the other members' clocks; this agent writes no plan.
    ClockSkew {
        /// The difference.
        by: Duration,
        /// Whether this clock is ahead.
        ahead: bool,
    },
    /// INFO: the wall clock agrees again.
    ClockAgrees,
    /// ERROR: plans are written in versions that this program does not support.
    UnknownVersions {
        /// The schedule.
        schedule: ScheduleId,
        /// The versions.
        versions: Versions,
    },
    /// ERROR: a key in etcd is invalid.
    InvalidRecord(InvalidRecord),
    /// WARN: members with the same units have different meters configured.
    ConfigMismatch,
    /// INFO: they have the same meters again.
    ConfigMatches,
}

/// The severity of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A change of state.
    Info,
    /// A problem that was recovered.
    Warn,
    /// Data was lost, or an operator must act.
    Error,
}

impl Notice {
    /// Returns the severity.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Joined(_)
            | Self::StoreRestored
            | Self::Takeover { .. }
            | Self::ClockAgrees
            | Self::ConfigMatches => Severity::Info,
            Self::LostMembership
            | Self::StoreLost
            | Self::NoPlanInTime(_)
            | Self::FinishedWithoutMembership(_)
            | Self::Cancelled(_)
            | Self::ConfigMismatch => Severity::Warn,
            Self::DuplicateId { .. }
            | Self::ClockSkew { .. }
            | Self::UnknownVersions { .. }
            | Self::InvalidRecord(_) => Severity::Error,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(incarnation) => write!(out, "joined the pool with incarnation {incarnation}"),
            Self::LostMembership => out.write_str("lost the pool membership, joining again"),
            Self::DuplicateId { host } => {
                write!(out, "agent.id is already in use by an agent on host {host}")
            }
            Self::StoreLost => out.write_str("etcd is unreachable"),
            Self::StoreRestored => out.write_str("etcd is reachable again"),
            Self::NoPlanInTime(cycle) => write!(out, "no plan in time for {cycle}"),
            Self::Takeover { cycle, gone } => {
                write!(out, "taking over in {cycle} from")?;
                for (at, id) in gone.iter().enumerate() {
                    write!(out, "{}{id}", if at == 0 { " " } else { ", " })?;
                }
                Ok(())
            }
            Self::FinishedWithoutMembership(cycle) => {
                write!(
                    out,
                    "finishing {cycle} after losing the membership; no other member has its units"
                )
            }
            Self::Cancelled(cycle) => {
                write!(
                    out,
                    "cancelled {cycle}; the membership is lost and other members have its units"
                )
            }
            Self::ClockSkew { by, ahead } => {
                let side = if *ahead { "ahead of" } else { "behind" };
                write!(
                    out,
                    "the clock of this host is {:.3} s {side} the clocks of the other members",
                    by.as_secs_f64()
                )
            }
            Self::ClockAgrees => {
                out.write_str("the clock of this host agrees with the clocks of the other members")
            }
            Self::UnknownVersions { schedule, versions } => write!(
                out,
                "plans of {schedule} are written in protocol {} with hash {}, which this version does not support",
                versions.protocol, versions.hash
            ),
            Self::InvalidRecord(invalid) => write!(out, "invalid key in etcd: {invalid}"),
            Self::ConfigMismatch => {
                out.write_str("members with the same units have different meters configured")
            }
            Self::ConfigMatches => {
                out.write_str("members with the same units have the same meters configured again")
            }
        }
    }
}
