//! Ends of runs, for a publisher that follows runs: each is reported when the batches of its run are settled.

use std::collections::VecDeque;
use std::sync::Arc;

use nephoscope_model::{Batch, Run};
use nephoscope_plugin::RunEnd;

/// Runs with queued batches, and run ends to report.
///
/// Of a run that repeats in every cycle at most two ends wait, the oldest and the newest: a publisher that is cycles behind
/// misses those between. This limits the waiting ends, and every run is still reported repeatedly.
#[derive(Default)]
pub(super) struct Runs {
    pending: Vec<(Arc<Run>, usize)>,
    /// In the order in which the runs ended.
    ends: VecDeque<(Arc<Run>, Arc<RunEnd>)>,
    /// Whether a run hook is in progress.
    pub(super) reporting: bool,
}

impl Runs {
    /// Tracks a batch in the queue.
    pub(super) fn track(&mut self, batch: &Batch) {
        let Some(run) = batch.run() else { return };
        match self
            .pending
            .iter_mut()
            .find(|(pending, _)| Arc::ptr_eq(pending, run))
        {
            Some((_, batches)) => *batches += 1,
            None => self.pending.push((run.clone(), 1)),
        }
    }

    /// Records that a batch was delivered, lost or stored.
    pub(super) fn release(&mut self, batch: &Batch) {
        let Some(run) = batch.run() else { return };
        let Some(place) = self
            .pending
            .iter()
            .position(|(pending, _)| Arc::ptr_eq(pending, run))
        else {
            return;
        };
        if let Some((_, batches)) = self.pending.get_mut(place) {
            *batches -= 1;
            if *batches == 0 {
                self.pending.swap_remove(place);
            }
        }
    }

    /// Queues the end of a run, whose batches were all submitted.
    pub(super) fn end(&mut self, run: Arc<Run>, end: Arc<RunEnd>) {
        let mut earlier = self.ends.iter_mut().filter(|(other, _)| other.repeats(&run));
        let (_oldest, newest) = (earlier.next(), earlier.next_back());
        match newest {
            Some(newest) => *newest = (run, end),
            None => self.ends.push_back((run, end)),
        }
    }

    /// Removes the next run end to report: one whose batches are settled, and without earlier ends of the same run.
    pub(super) fn take_due(&mut self) -> Option<(Arc<Run>, Arc<RunEnd>)> {
        if self.reporting {
            return None;
        }
        let is_due = |place: usize, run: &Arc<Run>| {
            let earlier = self.ends.iter().take(place).any(|(other, _)| other.repeats(run));
            !earlier && !self.pending.iter().any(|(pending, _)| Arc::ptr_eq(pending, run))
        };
        let mut places = self.ends.iter().enumerate();
        let (place, _) = places.find(|(place, (run, _))| is_due(*place, run))?;
        self.reporting = true;
        self.ends.remove(place)
    }

    /// Whether run ends wait or a run hook is in progress.
    pub(super) fn are_open(&self) -> bool {
        self.reporting || !self.ends.is_empty()
    }

    /// Tracks the batches of the queue again, for a new publisher that follows runs.
    pub(super) fn track_again<'a>(&mut self, batches: impl Iterator<Item = &'a Arc<Batch>>) {
        self.reporting = false;
        self.pending.clear();
        batches.for_each(|batch| self.track(batch));
    }

    /// Forgets everything, for a publisher that does not follow runs.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
