//! A unit of work: one discovery of one group, on one schedule.

use std::fmt;
use std::sync::Arc;

use nephoscope_model::{PartitionMode, ScheduleId};

/// The agents among which a unit is divided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// This host's own resources: one member by definition, no coordination.
    Host,
    /// All agents of the pool that have the unit.
    Shared,
}

/// The resources of one discovery on one schedule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// The agents that divide the unit.
    pub group: Group,
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
