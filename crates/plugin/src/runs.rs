//! The outcomes of pollster runs that publishers receive.

use std::sync::Arc;

use crate::FailureKind;

/// How a pollster run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunOutcome {
    /// The pollster has measured all resources of complete discovery runs: a resource that it did not report is gone, or
    /// cannot be measured unless it is in [`RunEnd::failed`].
    Complete,
    /// The pollster has ended, but it may not have received all resources: a discovery run failed or was aborted, or the run
    /// is a takeover, which covers a part.
    Partial,
    /// The run was ended before the pollster returned: by its deadline, because the agent stops, or because other agents took
    /// its part over.
    CutOff,
    /// The pollster failed as a whole.
    Failed,
    /// The pollster was not called although it may have resources: the previous run still blocks its thread, or no slot was
    /// free.
    Skipped,
}

/// How a pollster run ended, and the resources without samples.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// The resources that could not be measured this time.
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
    /// Why. [`FailureKind::Permanent`] and [`FailureKind::NotSupported`] mean that it will not recover soon.
    pub kind: FailureKind,
}

impl FailedResource {
    /// A resource with this key and failure.
    pub fn new(key: Arc<str>, kind: FailureKind) -> Self {
        Self { key, kind }
    }
}
