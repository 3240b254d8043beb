//! The identity of a cycle: its schedule and its start.

use std::fmt;
use std::sync::Arc;

use crate::Timestamp;

/// The canonical text of a schedule, for example `every:300:0` or `cron:0 */5 * * * *:UTC`.
///
/// Agents with the same interval and offset have the same id, however these are written in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleId(Arc<str>);

impl ScheduleId {
    /// Creates an id from the canonical text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScheduleId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// One run of a task: its schedule and its nominal start, the same on every agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CycleId {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The nominal start in UTC, independent of the lateness or splay of this agent.
    pub start: Timestamp,
    /// `floor((start - offset) / interval)`, for display and for `synthetic.cycle`; for cron schedules
    /// the start in seconds. Not part of the identity of samples.
    pub number: i64,
}

impl CycleId {
    /// Creates the identity of a cycle.
    pub fn new(schedule: ScheduleId, start: Timestamp, number: i64) -> Self {
        Self {
            schedule,
            start,
            number,
        }
    }
}

impl fmt::Display for CycleId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.schedule, self.start)
    }
}
