//! An entry of `polling.yaml`: which meters, how often, of which resources.

use std::time::Duration;

use nephoscope_model::PartitionMode;

use crate::{DiscoveryUrl, MeterFilter, Position, Schedule, StaticResource};

/// A source, checked and ready for the engine.
///
/// Two sources are equal when they ask for the same work: the place of a source in its file makes no difference, so that a line
/// added above it does not look like a change when the file is read again.
#[derive(Clone, Debug)]
pub struct Source {
    /// A label for people: it need not be unique.
    pub name: String,
    /// When the source is polled.
    pub schedule: Schedule,
    /// The meters that it wants.
    pub meters: MeterFilter,
    /// Resources that are given in the file, handed to every pollster of the source.
    pub resources: Vec<StaticResource>,
    /// Discoveries that take the place of each pollster's own; none: the pollsters' own are asked.
    pub discovery: Vec<DiscoveryUrl>,
    /// How shared resources are divided; none: as each discovery declares.
    pub partition: Option<PartitionMode>,
    /// How long a pollster run may stay without a result; none: the engine's limit alone holds.
    pub timeout: Option<Duration>,
    /// Where it is written, for logs.
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
