//! What agents share: one listing of one group, on one schedule.

use std::fmt;
use std::sync::Arc;

use nephoscope_model::{PartitionMode, ScheduleId};

/// The agents among which a unit is divided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// This host's own resources: one member by definition, no coordination.
    Host,
    /// All agents of the pool that carry the unit.
    Shared,
}

/// What is divided: everything that one listing gives on one schedule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// Among whom.
    pub group: Group,
    /// On which schedule.
    pub schedule: ScheduleId,
    /// The discovery URL as written, or `static:` and a fixed hash of the sorted content of a `resources:` list.
    pub listing: Arc<str>,
    /// Resource by resource, or as a whole.
    pub mode: PartitionMode,
}

impl fmt::Display for Unit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} on {} by {}", self.listing, self.schedule, self.mode)
    }
}
