//! Positions at which a test can kill the process, like `kill -9`, to check the effects of a crash.
//!
//! Compiled only with the cargo feature `failpoints`, which the released program does not enable. The process is killed at the
//! failpoint that the environment variable `NEPHOSCOPE_FAILPOINT` names, when it is reached for the first time; with `NAME:N`,
//! for the Nth time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// The environment variable that names the failpoint.
pub const VARIABLE: &str = "NEPHOSCOPE_FAILPOINT";

/// A position at which the process can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// The file of a new segment is created and empty.
    SegmentMade,
    /// A segment is full; the next record begins a new one.
    SegmentFinished,
    /// A segment is removed; the cursor may not include its records.
    SegmentRemoved,
    /// Half of a record is written.
    RecordHalf,
    /// A record is written but not synced.
    RecordWritten,
    /// Records are synced; their tickets are not resolved.
    Synced,
    /// The tickets of stored batches are resolved.
    Stored,
    /// A record is read but not delivered.
    RecordRead,
    /// A batch is about to be published.
    Publishing,
    /// The destination has accepted a batch; the result is not recorded.
    Accepted,
    /// A record is completed; the cursor does not include it.
    Done,
    /// Half of the cursor is written.
    CursorHalf,
    /// The cursor is written but not synced.
    CursorWritten,
    /// A stop has appended the remaining batches without a sync.
    Closing,
}

impl Failpoint {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::SegmentMade,
        Self::SegmentFinished,
        Self::SegmentRemoved,
        Self::RecordHalf,
        Self::RecordWritten,
        Self::Synced,
        Self::Stored,
        Self::RecordRead,
        Self::Publishing,
        Self::Accepted,
        Self::Done,
        Self::CursorHalf,
        Self::CursorWritten,
        Self::Closing,
    ];

    /// Its name in the environment variable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SegmentMade => "segment_made",
            Self::SegmentFinished => "segment_finished",
            Self::SegmentRemoved => "segment_removed",
            Self::RecordHalf => "record_half",
            Self::RecordWritten => "record_written",
            Self::Synced => "synced",
            Self::Stored => "stored",
            Self::RecordRead => "record_read",
            Self::Publishing => "publishing",
            Self::Accepted => "accepted",
            Self::Done => "done",
            Self::CursorHalf => "cursor_half",
            Self::CursorWritten => "cursor_written",
            Self::Closing => "closing",
        }
    }

    /// Kills the process if this failpoint is due.
    pub(crate) fn reach(self) {
        if self.is_due() {
            die();
        }
    }

    /// Runs `half` and kills the process, if this failpoint is due.
    pub(crate) fn reach_after(self, half: impl FnOnce()) {
        if self.is_due() {
            half();
            die();
        }
    }

    fn is_due(self) -> bool {
        static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
        let plan = PLAN.get_or_init(|| Plan::read(&std::env::var(VARIABLE).ok()?));
        let Some(plan) = plan.as_ref().filter(|plan| plan.place == self) else {
            return false;
        };
        plan.passed.fetch_add(1, Ordering::Relaxed) + 1 == plan.time
    }
}

/// The failpoint at which to kill the process, and when.
#[derive(Debug)]
struct Plan {
    place: Failpoint,
    /// Counted from 1.
    time: u32,
    passed: AtomicU32,
}

impl Plan {
    fn read(text: &str) -> Option<Self> {
        let (name, time) = text.split_once(':').unwrap_or((text, "1"));
        Some(Self {
            place: Failpoint::ALL.into_iter().find(|place| place.as_str() == name)?,
            time: time.parse().ok()?,
            passed: AtomicU32::new(0),
        })
    }
}

/// Kills the process without a flush or destructors.
fn die() {
    // A process may always signal itself.
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failpoints_are_found_by_name() {
        for place in Failpoint::ALL {
            let plan = Plan::read(&format!("{}:3", place.as_str())).unwrap();
            assert_eq!((plan.place, plan.time), (place, 3));
            assert_eq!(Plan::read(place.as_str()).unwrap().time, 1);
        }
        assert!(Plan::read("elsewhere").is_none());
        assert!(Plan::read("done:soon").is_none());
    }
}
