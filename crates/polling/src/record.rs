//! What is known of a cycle when it has ended: one record, for the log, the metrics and the admin API.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{CycleId, Timestamp};
use nephoscope_plugin::{Failure, FailureKind};
use serde::{Serialize, Serializer};

/// How many failed resources of a poll are described; all are counted.
pub const DESCRIBED: usize = 20;

/// Failures by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureCounts(BTreeMap<FailureKind, u64>);

impl FailureCounts {
    /// Counts one.
    pub fn add(&mut self, kind: FailureKind) {
        *self.0.entry(kind).or_insert(0) += 1;
    }

    /// Counts all of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(*kind).or_insert(0) += count;
        }
    }

    /// How many of this kind.
    pub fn get(&self, kind: FailureKind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// How many that are errors: all but what is not supported here.
    pub fn total(&self) -> u64 {
        self.0
            .iter()
            .filter(|(kind, _)| **kind != FailureKind::NotSupported)
            .map(|(_, count)| count)
            .sum()
    }

    /// The kinds that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (FailureKind, u64)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }
}

impl Serialize for FailureCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, count)| (kind.as_str(), count)))
    }
}

/// A failure, described for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureNote {
    /// The resource, where it was one resource's.
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

    /// Whether it is an error: what is not supported here is none.
    pub fn is_error(&self) -> bool {
        self.kind != FailureKind::NotSupported.as_str()
    }
}

/// One pollster run of a cycle.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PollRecord {
    /// The pollster's name.
    pub pollster: Arc<str>,
    /// Resources that were reported on.
    pub resources: u64,
    /// Samples that were handed to the notifier.
    pub samples: u64,
    /// Samples that were not handed over: the membership was lost, and others poll in this agent's place.
    pub fenced: u64,
    /// Resources that were passed over, since they are set aside.
    pub set_aside: u64,
    /// Failures of resources and of the run itself.
    pub failures: FailureCounts,
    /// The first of them.
    pub notes: Vec<FailureNote>,
    /// From its first page to its end, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub duration: Duration,
}

/// One listing of a cycle.
#[derive(Debug, Clone, Serialize)]
pub struct ListingRecord {
    /// The discovery URL.
    pub listing: Arc<str>,
    /// How many resources it gave.
    pub resources: u64,
    /// Why it ended early.
    pub failure: Option<FailureNote>,
    /// How long its discovery took, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub duration: Duration,
}

/// A cycle that has ended.
#[derive(Debug, Clone, Serialize)]
pub struct CycleRecord {
    /// The schedule as people read it.
    pub schedule: String,
    /// Its identity.
    #[serde(serialize_with = "as_cycle")]
    pub cycle: CycleId,
    /// When it really started.
    #[serde(serialize_with = "as_text")]
    pub started: Timestamp,
    /// How late that was, in seconds; null for the cycle in progress at the agent's start.
    #[serde(serialize_with = "as_optional_seconds")]
    pub lateness: Option<Duration>,
    /// Until its polls had ended and their samples were handed over, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub duration: Duration,
    /// Resources that were reported on, by all polls.
    pub resources: u64,
    /// Samples that were handed to the notifier.
    pub samples: u64,
    /// Failures by kind.
    pub failures: FailureCounts,
    /// Its listings.
    pub listings: Vec<ListingRecord>,
    /// Its polls.
    pub polls: Vec<PollRecord>,
    /// The number of the takeover, where this is no cycle of its own, but what others have left undone in one.
    pub takeover: Option<u64>,
    /// Why shared units were not polled, if so.
    pub no_plan: Option<String>,
}

/// A time or other thing as the text that it shows.
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
