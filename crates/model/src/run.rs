//! Where a batch comes from.

use std::sync::Arc;
use std::time::Duration;

use crate::CycleId;

/// One pollster in one cycle, as publishers see it.
///
/// All batches of a run share it: two batches are of the same run if they have the same [`Arc`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The cycle: the schedule, and its nominal start.
    pub cycle: CycleId,
    /// From this start of the schedule to the next.
    pub interval: Duration,
    /// The pollster.
    pub pollster: Arc<str>,
    /// The namespaces of the pollster.
    pub namespaces: Arc<[Arc<str>]>,
    /// The sources that want its samples, in the order of the file.
    pub sources: Arc<[Arc<str>]>,
    /// The number of the takeover, where the run is one: it polls beside the cycle what another agent has left, and no more.
    pub takeover: Option<u64>,
}

impl Run {
    /// A run of `pollster` that no source and no namespace is known of.
    pub fn new(cycle: CycleId, interval: Duration, pollster: impl Into<Arc<str>>) -> Self {
        Self {
            cycle,
            interval,
            pollster: pollster.into(),
            namespaces: Arc::default(),
            sources: Arc::default(),
            takeover: None,
        }
    }

    /// Sets the namespaces of the pollster.
    #[must_use]
    pub fn namespaces(mut self, namespaces: impl Into<Arc<[Arc<str>]>>) -> Self {
        self.namespaces = namespaces.into();
        self
    }

    /// Sets the sources that want its samples.
    #[must_use]
    pub fn sources(mut self, sources: impl Into<Arc<[Arc<str>]>>) -> Self {
        self.sources = sources.into();
        self
    }

    /// Whether it does again what `other` has done, in another cycle or the same one: they have the same schedule, pollster and
    /// sources.
    pub fn repeats(&self, other: &Self) -> bool {
        self.cycle.schedule == other.cycle.schedule
            && self.pollster == other.pollster
            && self.sources == other.sources
            && self.takeover.is_some() == other.takeover.is_some()
    }

    /// Makes it a takeover.
    #[must_use]
    pub fn takeover(mut self, number: Option<u64>) -> Self {
        self.takeover = number;
        self
    }
}

/// Of one report on a resource, how many samples of a batch are its.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedResource {
    /// The key of the resource.
    pub key: Arc<str>,
    /// How many samples of the batch are of this report.
    pub samples: usize,
}

impl ReportedResource {
    /// So many samples of the resource with this key.
    pub fn new(key: Arc<str>, samples: usize) -> Self {
        Self { key, samples }
    }
}
