//! The identity of a cycle: which schedule, and which of its starts.

use std::fmt;
use std::sync::Arc;

use crate::Timestamp;

/// The canonical text of a schedule, for example `every:300:0` or `cron:0 */5 * * * *:UTC`.
///
/// Agents that read the same interval and offset, in whatever spelling, have the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleId(Arc<str>);

impl ScheduleId {
    /// From the canonical text.
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
    /// The nominal start in UTC: the edge itself, whatever the lateness or splay of this agent.
    pub start: Timestamp,
    /// `floor((start - offset) / interval)`, for display and for `synthetic.cycle`; for cron schedules
    /// the start in seconds. Not part of the identity of samples.
    pub number: i64,
}

impl CycleId {
    /// The cycle of this schedule, nominal start and number.
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
