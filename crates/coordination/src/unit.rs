//! A unit of work: one discovery of one group, on one schedule.

use std::fmt;
use std::sync::Arc;

use nephoscope_model::{PartitionMode, ScheduleId, Scope};

/// The resources of one discovery on one schedule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// Whether it is divided among the agents of the pool.
    pub scope: Scope,
    /// The schedule.
    pub schedule: ScheduleId,
    /// The discovery URL as configured, or `static:` and a fixed hash of the sorted content of a `resources:` list.
    pub discovery: Arc<str>,
    /// Whether the unit is partitioned by resource or as a whole.
    pub mode: PartitionMode,
}

impl fmt::Display for Unit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} on {} by {}", self.discovery, self.schedule, self.mode)
    }
}
