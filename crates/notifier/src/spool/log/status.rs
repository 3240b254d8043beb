//! What is in a log, and what happened to its records.

use crate::spool::contents::Contents;

/// What happened to records since the log was opened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LogCounts {
    /// Records that went at the bounds of size or age, or were dropped by hand.
    pub dropped_records: u64,
    /// Samples of these records.
    pub dropped_samples: u64,
    /// Records that were damaged or missing.
    pub lost_records: u64,
    /// Samples of these records.
    pub lost_samples: u64,
    /// Places at which records were damaged or missing.
    pub damaged: u64,
    /// Ends of the log that were cut off when it was opened, since no record stood there.
    pub torn: u64,
    /// Bytes of these ends.
    pub torn_bytes: u64,
}

/// What is in a log at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Records that are not done with, those under way included.
    pub records: u64,
    /// Samples of these records.
    pub samples: u64,
    /// Records that can be read and were not. What is kept is not among them.
    pub unread: u64,
    /// About when the oldest of them was made, milliseconds since 1970 UTC.
    pub oldest: Option<i64>,
    /// How many files it has.
    pub segments: usize,
    /// Every record with a smaller number is done with, or kept.
    pub low: u64,
    /// The number of the next record.
    pub next: u64,
}

/// Records of the same contents that a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What they are.
    pub contents: Contents,
    /// Records that are not done with, those under way included.
    pub batches: u64,
    /// Samples or events of these records.
    pub samples: u64,
    /// Whether they are not read, since the publisher does not take them.
    pub kept: bool,
}
