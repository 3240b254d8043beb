//! Sources: entries of `polling.yaml` that define which meters are collected, how often, and from which resources.

use std::time::Duration;

use nephoscope_model::PartitionMode;

use crate::{DiscoveryUrl, MeterFilter, Position, Schedule, StaticResource};

/// A validated source, ready for the engine.
///
/// Two sources are equal when they request the same work. The position in the file is ignored, so that an added line above a
/// source does not count as a change on a reload.
#[derive(Clone, Debug)]
pub struct Source {
    /// A label; it need not be unique.
    pub name: String,
    /// When the source is polled.
    pub schedule: Schedule,
    /// The meters that it collects.
    pub meters: MeterFilter,
    /// Static resources for every pollster of the source.
    pub resources: Vec<StaticResource>,
    /// Discoveries that replace the pollsters' default discoveries; empty: the defaults are used.
    pub discovery: Vec<DiscoveryUrl>,
    /// How shared resources are divided; `None`: as each discovery declares.
    pub partition: Option<PartitionMode>,
    /// The maximum time without a result of a pollster run; `None`: only the engine's limit applies.
    pub timeout: Option<Duration>,
    /// The position in the file, for logs.
    pub position: Position,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.schedule.id() == other.schedule.id()
            && self.meters == other.meters
            && self.resources == other.resources
            && self.discovery == other.discovery
            && self.partition == other.partition
            && self.timeout == other.timeout
    }
}
