//! The ends of runs, for a publisher that follows them: each is told when the batches of its run have been settled.

use std::collections::VecDeque;
use std::sync::Arc;

use nephoscope_model::{Batch, Run};
use nephoscope_plugin::RunEnd;

/// Runs of which batches are held in memory, and ends that the publisher has not heard.
///
/// Of a run that comes in every cycle at most two ends wait, the oldest and the newest: a publisher that is behind by cycles
/// misses those between. So what waits is bounded by the configuration, and the publisher hears of each run again and again.
#[derive(Default)]
pub(super) struct Runs {
    held: Vec<(Arc<Run>, usize)>,
    /// In the order in which the runs ended.
    ends: VecDeque<(Arc<Run>, Arc<RunEnd>)>,
    /// Whether the publisher is being told of one.
    pub(super) telling: bool,
}

impl Runs {
    /// A batch is held from now on.
    pub(super) fn hold(&mut self, batch: &Batch) {
        let Some(run) = batch.run() else { return };
        match self.held.iter_mut().find(|(held, _)| Arc::ptr_eq(held, run)) {
            Some((_, batches)) => *batches += 1,
            None => self.held.push((run.clone(), 1)),
        }
    }

    /// A batch has been delivered, lost or stored.
    pub(super) fn release(&mut self, batch: &Batch) {
        let Some(run) = batch.run() else { return };
        let Some(place) = self.held.iter().position(|(held, _)| Arc::ptr_eq(held, run)) else {
            return;
        };
        if let Some((_, batches)) = self.held.get_mut(place) {
            *batches -= 1;
            if *batches == 0 {
                self.held.swap_remove(place);
            }
        }
    }

    /// A run has ended; all its batches have been handed over.
    pub(super) fn end(&mut self, run: Arc<Run>, end: Arc<RunEnd>) {
        let mut earlier = self.ends.iter_mut().filter(|(other, _)| other.repeats(&run));
        let (_oldest, newest) = (earlier.next(), earlier.next_back());
        match newest {
            Some(newest) => *newest = (run, end),
            None => self.ends.push_back((run, end)),
        }
    }

    /// The end that the publisher hears next, if the batches of its run have been settled, and those of earlier ends of the same
    /// work.
    pub(super) fn take_due(&mut self) -> Option<(Arc<Run>, Arc<RunEnd>)> {
        if self.telling {
            return None;
        }
        let is_due = |place: usize, run: &Arc<Run>| {
            let earlier = self.ends.iter().take(place).any(|(other, _)| other.repeats(run));
            !earlier && !self.held.iter().any(|(held, _)| Arc::ptr_eq(held, run))
        };
        let mut places = self.ends.iter().enumerate();
        let (place, _) = places.find(|(place, (run, _))| is_due(*place, run))?;
        self.telling = true;
        self.ends.remove(place)
    }

    /// Whether ends wait, or one is being told.
    pub(super) fn are_open(&self) -> bool {
        self.telling || !self.ends.is_empty()
    }

    /// Another publisher is in place, which follows runs: of these batches, those that are held.
    pub(super) fn hold_again<'a>(&mut self, batches: impl Iterator<Item = &'a Arc<Batch>>) {
        self.telling = false;
        self.held.clear();
        batches.for_each(|batch| self.hold(batch));
    }

    /// Nobody hears of runs any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
