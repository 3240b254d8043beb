//! Compares the wall clock with the other members' clocks.

use std::collections::VecDeque;
use std::time::Duration;

use nephoscope_model::Timestamp;

/// The number of plans that count as recent.
const RECENT: usize = 5;

/// The differences between the wall clock and the writers' clocks of recent plans.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Clocks {
    /// In microseconds, positive if this clock is ahead; the newest last.
    recent: VecDeque<i64>,
    /// Whether a plan of another member has agreed with this clock in this membership.
    verified: bool,
}

/// A difference of clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Skew {
    pub(super) by: Duration,
    pub(super) ahead: bool,
}

impl Clocks {
    /// Records a plan that another member has just written.
    pub(super) fn arrived(&mut self, now: Timestamp, written: Timestamp, limit: Duration) {
        let micros = now.as_micros().saturating_sub(written.as_micros());
        self.push(micros);
        self.verified |= Duration::from_micros(micros.unsigned_abs()) <= limit;
    }

    /// Records this agent's own plan, which agrees with its own clock.
    pub(super) fn wrote(&mut self) {
        self.push(0);
    }

    /// Starts a new membership: the clock must be verified again.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Returns whether a plan of another member has agreed with this clock.
    pub(super) fn verified(&self) -> bool {
        self.verified
    }

    /// Returns the difference from the median of the recent plans' clocks, if it exceeds `limit`.
    pub(super) fn skew(&self, limit: Duration) -> Option<Skew> {
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        // Of two middle values, uses the one closer to this clock: one against one is not a majority.
        let (lower, upper) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
        let middle = sorted.get(lower..=upper)?;
        let median = middle
            .iter()
            .copied()
            .min_by_key(|micros| micros.unsigned_abs())?;
        let by = Duration::from_micros(median.unsigned_abs());
        (by > limit).then_some(Skew {
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
