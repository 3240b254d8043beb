//! What the machine says to people: one variant for each line of the log that matters.

use std::fmt;
use std::time::Duration;

use nephoscope_model::{CycleId, ScheduleId};

use super::bad::BadValue;
use super::ids::{AgentId, Incarnation};
use super::member::Versions;

/// Something that happened, for the log and the metrics. Repeated only when it happens anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Notice {
    /// INFO: this agent is a member.
    Joined(Incarnation),
    /// WARN: the membership was lost although this agent lives; it joins again.
    LostMembership,
    /// ERROR: the id of this agent belongs to another one that lives.
    IdTaken {
        /// The host of the other one.
        host: String,
    },
    /// WARN: nothing is known of etcd any more.
    StoreLost,
    /// INFO: etcd is back.
    StoreBack,
    /// WARN: there was no plan in time; the cycle runs by what this agent owned in the last two plans (`continue`), or not
    /// at all (`pause`).
    NoPlanInTime(CycleId),
    /// INFO: this agent takes over what others left undone.
    Succession {
        /// In which cycle.
        cycle: CycleId,
        /// Who was there before and is not any more.
        gone: Vec<AgentId>,
    },
    /// WARN: a cycle is finished although its membership is lost, since nobody else can have it.
    FinishedAlone(CycleId),
    /// WARN: work was cut off, since its membership is lost and others have it.
    Cancelled(CycleId),
    /// ERROR: the wall clock differs from those of others; this agent writes no plan.
    ClockOff {
        /// How far.
        by: Duration,
        /// Whether ours is ahead.
        ahead: bool,
    },
    /// INFO: the wall clock agrees again.
    ClockAgrees,
    /// ERROR: plans are made in versions that this program does not know.
    UnknownVersions {
        /// Of which schedule.
        schedule: ScheduleId,
        /// Which ones.
        versions: Versions,
    },
    /// ERROR: something in etcd cannot be read.
    Bad(BadValue),
    /// WARN: members with the same units want different meters of them.
    Drift,
    /// INFO: they want the same again.
    NoDrift,
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gravity {
    /// A change of state.
    Info,
    /// Something that was mended.
    Warn,
    /// Data was lost, or an operator must act.
    Error,
}

impl Notice {
    /// How much it matters.
    pub fn gravity(&self) -> Gravity {
        match self {
            Self::Joined(_)
            | Self::StoreBack
            | Self::Succession { .. }
            | Self::ClockAgrees
            | Self::NoDrift => Gravity::Info,
            Self::LostMembership
            | Self::StoreLost
            | Self::NoPlanInTime(_)
            | Self::FinishedAlone(_)
            | Self::Cancelled(_)
            | Self::Drift => Gravity::Warn,
            Self::IdTaken { .. } | Self::ClockOff { .. } | Self::UnknownVersions { .. } | Self::Bad(_) => {
                Gravity::Error
            }
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(incarnation) => write!(out, "joined the pool as {incarnation}"),
            Self::LostMembership => out.write_str("lost the membership of the pool, joining again"),
            Self::IdTaken { host } => {
                write!(out, "the id of this agent is in use by an agent on host {host}")
            }
            Self::StoreLost => out.write_str("etcd cannot be reached"),
            Self::StoreBack => out.write_str("etcd is back"),
            Self::NoPlanInTime(cycle) => write!(out, "no plan in time for {cycle}"),
            Self::Succession { cycle, gone } => {
                write!(out, "taking over in {cycle} from")?;
                for (at, id) in gone.iter().enumerate() {
                    write!(out, "{}{id}", if at == 0 { " " } else { ", " })?;
                }
                Ok(())
            }
            Self::FinishedAlone(cycle) => {
                write!(
                    out,
                    "finishing {cycle} without a membership, since nobody else can have it"
                )
            }
            Self::Cancelled(cycle) => {
                write!(
                    out,
                    "cut off {cycle}, since the membership is lost and others have it"
                )
            }
            Self::ClockOff { by, ahead } => {
                let side = if *ahead { "ahead of" } else { "behind" };
                write!(
                    out,
                    "the clock of this host is {:.3} s {side} the clocks of the other members",
                    by.as_secs_f64()
                )
            }
            Self::ClockAgrees => {
                out.write_str("the clock of this host agrees with those of the other members")
            }
            Self::UnknownVersions { schedule, versions } => write!(
                out,
                "the plans of {schedule} are made in protocol {} with hash {}, which this version does not know",
                versions.protocol, versions.hash
            ),
            Self::Bad(bad) => write!(out, "cannot read {bad}"),
            Self::Drift => out.write_str("members with the same units want different meters"),
            Self::NoDrift => out.write_str("members with the same units want the same meters"),
        }
    }
}
