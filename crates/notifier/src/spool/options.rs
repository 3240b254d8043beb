//! The options of a spool.

use std::time::Duration;

/// The minimum size of a spool in bytes.
pub const MIN_BYTES: u64 = 64 << 10;

/// The minimum size of a segment in a large spool in bytes. Space is freed by whole segments.
const SEGMENT_MIN: u64 = 1 << 20;
/// The maximum size of a segment in bytes: opening a spool reads one segment.
const SEGMENT_MAX: u64 = 64 << 20;
/// The approximate number of segments in a full spool.
const SEGMENTS: u64 = 1024;

/// The order in which records are delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// New records first. The backlog of an outage or a restart follows as capacity permits, oldest first.
    #[default]
    NewestFirst,
    /// In the order of submission.
    Fifo,
}

/// Which batches a spool stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpoolMode {
    /// Batches without room in memory, and the remaining ones when the agent stops.
    #[default]
    Overflow,
    /// All batches: a batch with a stored receipt survives the agent.
    Always,
}

/// When appended batches are synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before a batch counts as stored.
    Always,
    /// Within [`SYNC_INTERVAL`]; a batch counts as stored after the sync.
    #[default]
    Interval,
    /// Never explicitly; a batch counts as stored when it is written.
    Never,
}

/// The maximum delay of a sync with [`Fsync::Interval`], and of writing the cursor.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// The default of the maximum size.
pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// The default of the maximum size of the dead letters in bytes, enough for some hundred batches.
pub const DEAD_LETTER_BYTES: u64 = 16 << 20;

/// The options of a publisher's spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Which batches it stores.
    pub mode: SpoolMode,
    /// When it syncs.
    pub fsync: Fsync,
    /// The order of delivery. With [`Order::Fifo`] new batches never overtake stored ones.
    pub order: Order,
    /// The maximum size of its segments in bytes, at least [`MIN_BYTES`]. Beyond it the oldest are dropped.
    pub max_bytes: u64,
    /// The maximum age of batches; `None`: no limit.
    pub max_age: Option<Duration>,
    /// The maximum size of the dead letters in bytes.
    pub dead_letter_bytes: u64,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            mode: SpoolMode::default(),
            fsync: Fsync::default(),
            order: Order::default(),
            max_bytes: DEFAULT_MAX_BYTES,
            max_age: None,
            dead_letter_bytes: DEAD_LETTER_BYTES,
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
                // The newest batches are in memory: every stored one is backlog.
                SpoolMode::Overflow => Order::Fifo,
            },
            durable: self.fsync != Fsync::Never,
            segment_bytes: None,
        }
    }
}

/// The options of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// The maximum size of the segments in bytes, at least [`MIN_BYTES`]. Beyond it the oldest are dropped.
    pub max_bytes: u64,
    /// The maximum age of records; `None`: no limit.
    pub max_age: Option<Duration>,
    /// The order of delivery.
    pub order: Order,
    /// Whether records are synced at all.
    pub durable: bool,
    /// The size of a segment in bytes; default: derived from `max_bytes`.
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
