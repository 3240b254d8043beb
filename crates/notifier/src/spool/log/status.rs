//! The status and the counts of a log.

use crate::spool::contents::Contents;

/// Counts of records since the log was opened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LogCounts {
    /// Records that were dropped at the limits of size or age, or manually.
    pub dropped_records: u64,
    /// Samples of these records.
    pub dropped_samples: u64,
    /// Records that were corrupt or missing.
    pub lost_records: u64,
    /// Samples of these records.
    pub lost_samples: u64,
    /// Positions at which records were corrupt or missing.
    pub corrupt: u64,
    /// Segments that were truncated at the opening, since they ended without a complete record.
    pub truncated: u64,
    /// Bytes that were truncated.
    pub truncated_bytes: u64,
}

/// The status of a log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// The size of all segments in bytes.
    pub bytes: u64,
    /// Records that are not completed, including those in flight.
    pub records: u64,
    /// Samples of these records.
    pub samples: u64,
    /// Records that can be read and were not read yet, without those with unsupported contents.
    pub unread: u64,
    /// About when the oldest of them was created, in milliseconds since 1970 UTC.
    pub oldest_time: Option<i64>,
    /// The number of segment files.
    pub segments: usize,
    /// Every record with a smaller number is completed or unsupported.
    pub low: u64,
    /// The number of the next record.
    pub next: u64,
}

/// The amount of records with the same contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContents {
    /// The contents of the records.
    pub contents: Contents,
    /// Records that are not completed, including those in flight.
    pub batches: u64,
    /// Samples or events in these records.
    pub samples: u64,
    /// Whether the publisher does not accept them.
    pub unsupported: bool,
}
