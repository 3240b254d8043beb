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
    NewestFirst,
    /// As they came.
    Fifo,
}

/// Which batches go through a spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpoolMode {
    /// Those that have no room in memory, and those that are left when the agent stops.
    #[default]
    Overflow,
    /// All: what a receipt calls stored outlives the agent.
    Always,
}

/// When what was appended is synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before a batch counts as stored.
    Always,
    /// Within [`SYNC_INTERVAL`]; a batch counts as stored after that.
    #[default]
    Interval,
    /// By the system, when it likes; a batch counts as stored when it is written.
    Never,
}

/// How long what was appended waits for its sync under [`Fsync::Interval`], and the position for being written.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How large a spool becomes where the configuration does not say.
pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// How large the quarantine becomes, in bytes: enough for some hundred batches, and a person reads no more.
pub const QUARANTINE_BYTES: u64 = 16 << 20;

/// What a publisher's spool is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Which batches go through it.
    pub mode: SpoolMode,
    /// When it syncs.
    pub fsync: Fsync,
    /// In which order batches leave. With [`Order::Fifo`] nothing leaves before what is in the spool.
    pub order: Order,
    /// How many bytes its segments may take; beyond that the oldest go. At least [`MIN_BYTES`].
    pub max_bytes: u64,
    /// How old batches may become.
    pub max_age: Option<Duration>,
    /// How many bytes its quarantine may take.
    pub quarantine_bytes: u64,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            mode: SpoolMode::default(),
            fsync: Fsync::default(),
            order: Order::default(),
            max_bytes: DEFAULT_MAX_BYTES,
            max_age: None,
            quarantine_bytes: QUARANTINE_BYTES,
        }
    }
}

impl SpoolOptions {
    pub(super) fn log(&self) -> LogOptions {
        LogOptions {
            max_bytes: self.max_bytes,
            max_age: self.max_age,
            order: match self.mode {
                SpoolMode::Always => self.order,
                // What has no room in memory is backlog, all of it; what is fresh is in memory.
                SpoolMode::Overflow => Order::Fifo,
            },
            durable: self.fsync != Fsync::Never,
            segment_bytes: None,
        }
    }
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
