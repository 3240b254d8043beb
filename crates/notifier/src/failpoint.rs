//! Places at which a test can have the process killed, as `kill -9` does, to see what a crash there costs.
//!
//! Only with the cargo feature `failpoints`, which the stock program does not have: without it no call and no name of these is
//! compiled. A program with the feature dies at the place that the environment variable `NEPHOSCOPE_FAILPOINT` names, the first time
//! that it gets there; with `NAME:N`, the Nth time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// The variable that names the place.
pub const VARIABLE: &str = "NEPHOSCOPE_FAILPOINT";

/// A place where the process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// The file of a new segment is there, and nothing is in it.
    SegmentMade,
    /// A segment is full; the next record begins another one.
    SegmentFinished,
    /// A segment is removed; that its records are done with may not be written down.
    SegmentRemoved,
    /// Half of a record is written.
    RecordHalf,
    /// A record is written, and not synced.
    RecordWritten,
    /// Records are synced, and nobody has been told.
    Synced,
    /// Those who handed batches over have been told that they are stored.
    Stored,
    /// A record is read and not delivered yet.
    RecordRead,
    /// A batch is about to be published.
    Departing,
    /// The place has taken a batch, and nothing is noted of that.
    Answered,
    /// A record is done with, and that is not written down.
    Done,
    /// Half of the position is written.
    CursorHalf,
    /// The position is written, and not synced.
    CursorWritten,
    /// A stop stores what is left; nothing of it is synced.
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
        Self::Departing,
        Self::Answered,
        Self::Done,
        Self::CursorHalf,
        Self::CursorWritten,
        Self::Closing,
    ];

    /// Its name in the environment.
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
            Self::Departing => "departing",
            Self::Answered => "answered",
            Self::Done => "done",
            Self::CursorHalf => "cursor_half",
            Self::CursorWritten => "cursor_written",
            Self::Closing => "closing",
        }
    }

    /// Dies here if this is the place and the time.
    pub(crate) fn reach(self) {
        if self.is_due() {
            die();
        }
    }

    /// Does half of what is done here and dies, if this is the place and the time.
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

/// Where and when to die.
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

/// Ends the process at once: nothing is flushed, and no destructor runs.
fn die() {
    // A process may always signal itself.
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_by_name() {
        for place in Failpoint::ALL {
            let plan = Plan::read(&format!("{}:3", place.as_str())).unwrap();
            assert_eq!((plan.place, plan.time), (place, 3));
            assert_eq!(Plan::read(place.as_str()).unwrap().time, 1);
        }
        assert!(Plan::read("elsewhere").is_none());
        assert!(Plan::read("done:soon").is_none());
    }
}
