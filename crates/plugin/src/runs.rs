//! What publishers hear of pollster runs.

use std::sync::Arc;

use crate::FailureKind;

/// How a pollster run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunOutcome {
    /// The pollster has measured all resources of listings that are complete: what it has not reported is not there, or cannot be
    /// measured, unless it is in [`RunEnd::failed`].
    Complete,
    /// The pollster has ended by itself, and there may be resources that it was not given: a listing failed or was cut off, or the
    /// run is a takeover, which covers a part.
    Partial,
    /// The run was ended before the pollster had: by its deadline, since the agent stops, or since others have its part.
    CutOff,
    /// The pollster failed as a whole.
    Failed,
    /// The pollster was not called, though it may have resources: the run before still blocks its thread, or no place was free.
    Skipped,
}

/// How a pollster run ended, and for which resources it has no samples.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Resources that could not be measured this time.
    pub failed: Vec<FailedResource>,
}

impl RunEnd {
    /// A run in which no resource failed.
    pub fn new(outcome: RunOutcome) -> Self {
        Self {
            outcome,
            failed: Vec::new(),
        }
    }

    /// Sets the resources that failed.
    #[must_use]
    pub fn failed(mut self, failed: Vec<FailedResource>) -> Self {
        self.failed = failed;
        self
    }
}

/// A resource that could not be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedResource {
    /// Its key.
    pub key: Arc<str>,
    /// Why, in a word: [`FailureKind::Permanent`] and [`FailureKind::NotSupported`] say that it will not come back soon.
    pub kind: FailureKind,
}

impl FailedResource {
    /// The resource with this key failed in this way.
    pub fn new(key: Arc<str>, kind: FailureKind) -> Self {
        Self { key, kind }
    }
}
