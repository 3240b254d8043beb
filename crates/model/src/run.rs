//! The origin of a batch.

use std::sync::Arc;
use std::time::Duration;

use crate::CycleId;

/// One pollster in one cycle.
///
/// All batches of a run share it: two batches belong to the same run if they have the same [`Arc`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The cycle: the schedule and its nominal start.
    pub cycle: CycleId,
    /// The time from this start to the next one.
    pub interval: Duration,
    /// The pollster.
    pub pollster: Arc<str>,
    /// The namespaces of the pollster.
    pub namespaces: Arc<[Arc<str>]>,
    /// The sources that request its samples, in the order of the file.
    pub sources: Arc<[Arc<str>]>,
    /// The number of the takeover, if the run is one: it polls only the resources that another agent left behind.
    pub takeover: Option<u64>,
}

impl Run {
    /// Creates a run of `pollster` without sources and namespaces.
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

    /// Sets the sources that request its samples.
    #[must_use]
    pub fn sources(mut self, sources: impl Into<Arc<[Arc<str>]>>) -> Self {
        self.sources = sources.into();
        self
    }

    /// Whether the run repeats `other` in another cycle or the same one: they have the same schedule, pollster and sources.
    pub fn repeats(&self, other: &Self) -> bool {
        self.cycle.schedule == other.cycle.schedule
            && self.pollster == other.pollster
            && self.sources == other.sources
            && self.takeover.is_some() == other.takeover.is_some()
    }

    /// Makes the run a takeover.
    #[must_use]
    pub fn takeover(mut self, number: Option<u64>) -> Self {
        self.takeover = number;
        self
    }
}

/// The samples of a batch from one report on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedResource {
    /// The key of the resource.
    pub key: Arc<str>,
    /// The number of samples of this report.
    pub samples: usize,
}

impl ReportedResource {
    /// Creates an entry for samples of the resource with this key.
    pub fn new(key: Arc<str>, samples: usize) -> Self {
        Self { key, samples }
    }
}
