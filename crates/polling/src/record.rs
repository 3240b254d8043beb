//! The record of a cycle that has ended, for the log, the metrics and the admin API.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{CycleId, Timestamp};
use nephoscope_plugin::{Failure, FailureKind};
use serde::{Serialize, Serializer};

/// The maximum number of failures of a poll that are described; all are counted.
pub const MAX_DESCRIBED: usize = 20;

/// Failures by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureCounts(BTreeMap<FailureKind, u64>);

impl FailureCounts {
    /// Counts one failure.
    pub fn add(&mut self, kind: FailureKind) {
        *self.0.entry(kind).or_insert(0) += 1;
    }

    /// Adds the counts of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(*kind).or_insert(0) += count;
        }
    }

    /// The number of failures of this kind.
    pub fn get(&self, kind: FailureKind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// The number of errors: all failures except `not_supported`.
    pub fn total(&self) -> u64 {
        self.0
            .iter()
            .filter(|(kind, _)| **kind != FailureKind::NotSupported)
            .map(|(_, count)| count)
            .sum()
    }

    /// The kinds that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (FailureKind, u64)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }
}

impl Serialize for FailureCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, count)| (kind.as_str(), count)))
    }
}

/// The description of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureNote {
    /// The resource, if the failure concerns one.
    pub resource: Option<Arc<str>>,
    /// `transient`, `unreachable`, ...
    pub kind: &'static str,
    /// The message and its causes.
    pub message: String,
}

impl FailureNote {
    /// Describes a failure.
    pub fn new(resource: Option<Arc<str>>, failure: &Failure) -> Self {
        Self {
            resource,
            kind: failure.kind().as_str(),
            message: failure.chain(),
        }
    }

    /// Whether it is an error: every kind except `not_supported`.
    pub fn is_error(&self) -> bool {
        self.kind != FailureKind::NotSupported.as_str()
    }
}

/// The record of one pollster run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PollRecord {
    /// The pollster's name.
    pub pollster: Arc<str>,
    /// Resources that were reported on.
    pub resources: u64,
    /// Samples that were submitted to the notifier.
    pub samples: u64,
    /// Samples that were discarded because the membership was lost and other agents poll the resources.
    pub fenced: u64,
    /// Resources that were skipped while backed off.
    pub backed_off: u64,
    /// Failures of resources and of the run itself.
    pub failures: FailureCounts,
    /// The descriptions of the first failures.
    pub notes: Vec<FailureNote>,
    /// From the first page to the end, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub duration: Duration,
}

/// The record of one discovery run.
#[derive(Debug, Clone, Serialize)]
pub struct DiscoveryRecord {
    /// The discovery URL.
    pub discovery: Arc<str>,
    /// The number of discovered resources.
    pub resources: u64,
    /// The failure that ended it early.
    pub failure: Option<FailureNote>,
    /// The duration of the run, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub duration: Duration,
}

/// The record of a cycle.
#[derive(Debug, Clone, Serialize)]
pub struct CycleRecord {
    /// The schedule in human-readable form.
    pub schedule: String,
    /// Its identity.
    #[serde(serialize_with = "as_cycle")]
    pub cycle: CycleId,
    /// The actual start.
    #[serde(serialize_with = "as_text")]
    pub started: Timestamp,
    /// The lateness in seconds; null for the cycle in progress at the start of the agent.
    #[serde(serialize_with = "as_optional_seconds")]
    pub lateness: Option<Duration>,
    /// The time until all polls had ended and their samples were submitted, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub duration: Duration,
    /// The resources that were reported on by all polls.
    pub resources: u64,
    /// The samples that were submitted to the notifier.
    pub samples: u64,
    /// Failures by kind.
    pub failures: FailureCounts,
    /// The discovery runs.
    pub discovery_runs: Vec<DiscoveryRecord>,
    /// The pollster runs.
    pub polls: Vec<PollRecord>,
    /// The number of the takeover, if this is not a regular cycle but work taken over from other agents.
    pub takeover: Option<u64>,
    /// Why no shared units were polled, if so.
    pub no_plan: Option<String>,
}

/// Serializes a value in its display form.
pub(crate) fn as_text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn as_optional_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}

fn as_cycle<S: Serializer>(cycle: &CycleId, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        schedule: &'a str,
        start: String,
        number: i64,
    }
    Shown {
        schedule: cycle.schedule.as_str(),
        start: cycle.start.to_string(),
        number: cycle.number,
    }
    .serialize(serializer)
}
