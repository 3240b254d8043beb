//! The comparison of the wall clock with those of the other members.

use std::collections::VecDeque;
use std::time::Duration;

use nephoscope_model::Timestamp;

/// How many plans count as recent.
const RECENT: usize = 5;

/// How far the wall clock is from those that wrote the recent plans.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Clocks {
    /// In microseconds, ours ahead is positive; the newest last.
    recent: VecDeque<i64>,
    /// Whether a plan of another member has ever agreed, in this membership.
    agreed: bool,
}

/// A difference of clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) by: Duration,
    pub(super) ahead: bool,
}

impl Clocks {
    /// A plan arrived that another member wrote just now.
    pub(super) fn arrived(&mut self, now: Timestamp, written: Timestamp, limit: Duration) {
        let micros = now.as_micros().saturating_sub(written.as_micros());
        self.push(micros);
        self.agreed |= Duration::from_micros(micros.unsigned_abs()) <= limit;
    }

    /// A plan of this agent's own was taken: it agrees with its own clock.
    pub(super) fn wrote(&mut self) {
        self.push(0);
    }

    /// A new membership begins: the clock has to be seen to agree anew.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Whether a plan of another member has agreed with this clock.
    pub(super) fn agreed(&self) -> bool {
        self.agreed
    }

    /// How far this clock is from the median of the recent plans', if it is further than `limit`.
    pub(super) fn off(&self, limit: Duration) -> Option<Difference> {
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        // Of two in the middle the one that is nearer to ours: one against one is no majority.
        let (lower, upper) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
        let middle = sorted.get(lower..=upper)?;
        let median = middle
            .iter()
            .copied()
            .min_by_key(|micros| micros.unsigned_abs())?;
        let by = Duration::from_micros(median.unsigned_abs());
        (by > limit).then_some(Difference {
            by,
            ahead: median > 0,
        })
    }

    fn push(&mut self, micros: i64) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(micros);
    }
}
