//! What a spool is opened with.

use std::time::Duration;

/// The smallest spool, in bytes.
pub const MIN_BYTES: u64 = 64 << 10;

/// The least size of a segment in a large spool, in bytes. Space is given back by whole segments.
const SEGMENT_MIN: u64 = 1 << 20;
/// The greatest size of a segment, in bytes: what is read when a spool is opened.
const SEGMENT_MAX: u64 = 64 << 20;
/// A spool of full size has about so many segments.
const SEGMENTS: u64 = 1024;

/// In which order records leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// What is new goes first; what an outage or a restart has left behind follows as there is room, oldest first.
    #[default]
    FreshFirst,
    /// As they came.
    Fifo,
}

/// Bounds of a spool's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// How many bytes the segments may take; beyond that the oldest go. At least [`MIN_BYTES`].
    pub max_bytes: u64,
    /// How old records may become.
    pub max_age: Option<Duration>,
    /// In which order records leave.
    pub order: Order,
    /// Whether anything is synced at all.
    pub durable: bool,
    /// The size of a segment in bytes, where it is not left to `max_bytes`.
    pub segment_bytes: Option<u64>,
}

impl LogOptions {
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes.max(MIN_BYTES)
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.unwrap_or_else(|| {
            let max = self.max_bytes();
            (max / SEGMENTS).clamp(SEGMENT_MIN, SEGMENT_MAX).min(max / 8)
        })
    }
}
