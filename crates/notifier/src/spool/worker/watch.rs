//! What the thread tells when it begins and when it ends: losses, and batches that are kept.

use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use crate::spool::events::Event;
use crate::spool::log::LogCounts;

/// An end of an episode of losses is told when there were none for so long.
const QUIET: Duration = Duration::from_secs(10);

/// Losses that belong together.
pub(super) struct Losing {
    pub(super) last: Instant,
    pub(super) before: LogCounts,
}

impl Worker {
    pub(super) fn tell_of_opening(&self) {
        let (batches, samples) = self.recovered;
        let counts = self.log.counts();
        if counts.torn > 0 {
            let bytes = counts.torn_bytes;
            Event::TornEnd { bytes }.emit(&self.shared.name);
        }
        if batches > 0 {
            Event::Recovered { batches, samples }.emit(&self.shared.name);
        }
    }

    /// Tells when losses begin and when they have ended.
    pub(super) fn watch_losses(&mut self) {
        let (counts, now) = (self.log.counts(), Instant::now());
        let lost = counts.lost_samples != self.told.lost_samples || counts.damaged != self.told.damaged;
        let dropped = counts.dropped_records != self.told.dropped_records;
        if lost {
            let batches = counts.lost_records - self.told.lost_records;
            let samples = counts.lost_samples - self.told.lost_samples;
            Event::Damaged { batches, samples }.emit(&self.shared.name);
        }
        if dropped {
            if self.losing.is_none() {
                Event::DroppingBegan.emit(&self.shared.name);
            }
            let before = self.losing.as_ref().map_or(self.told, |losing| losing.before);
            self.losing = Some(Losing { last: now, before });
        } else if let Some(losing) = self
            .losing
            .take_if(|losing| now.duration_since(losing.last) >= QUIET)
        {
            self.tell_of_end(&losing);
        }
        self.told = counts;
    }

    /// Tells when batches begin to be kept, and when none are any more.
    pub(super) fn watch_kept(&mut self) {
        if !self.log.keeps() {
            if std::mem::take(&mut self.told_kept) {
                Event::KeepingEnded.emit(&self.shared.name);
            }
        } else if !std::mem::replace(&mut self.told_kept, true) {
            let held = self.log.held();
            let kept: Vec<_> = held.iter().filter(|held| held.kept).collect();
            let encodings: Vec<_> = kept.iter().map(|held| held.contents.to_string()).collect();
            let (batches, samples) = kept.iter().fold((0, 0), |(batches, samples), held| {
                (batches + held.batches, samples + held.samples)
            });
            let encodings = encodings.join(", ");
            Event::KeepingBegan {
                encodings: &encodings,
                batches,
                samples,
            }
            .emit(&self.shared.name);
        }
    }

    pub(super) fn tell_of_end(&self, losing: &Losing) {
        let samples = self.log.counts().dropped_samples - losing.before.dropped_samples;
        Event::DroppingEnded { samples }.emit(&self.shared.name);
    }
}
