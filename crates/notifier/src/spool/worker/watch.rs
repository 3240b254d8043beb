//! Logging of state changes: losses and unsupported contents.

use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use crate::spool::events::Event;
use crate::spool::log::LogCounts;

/// An episode of drops ends after this time without one.
const QUIET: Duration = Duration::from_secs(10);

/// A series of drops.
pub(super) struct DropEpisode {
    pub(super) last: Instant,
    pub(super) before: LogCounts,
}

impl Worker {
    pub(super) fn log_opening(&self) {
        let (batches, samples) = self.recovered;
        let counts = self.log.counts();
        if counts.truncated > 0 {
            let bytes = counts.truncated_bytes;
            Event::TruncatedEnd { bytes }.emit(&self.shared.name);
        }
        if batches > 0 {
            Event::Recovered { batches, samples }.emit(&self.shared.name);
        }
    }

    /// Logs the begin and the end of losses.
    pub(super) fn watch_losses(&mut self) {
        let (counts, now) = (self.log.counts(), Instant::now());
        let lost =
            counts.lost_samples != self.reported.lost_samples || counts.corrupt != self.reported.corrupt;
        let dropped = counts.dropped_records != self.reported.dropped_records;
        if lost {
            let batches = counts.lost_records - self.reported.lost_records;
            let samples = counts.lost_samples - self.reported.lost_samples;
            Event::Corrupt { batches, samples }.emit(&self.shared.name);
        }
        if dropped {
            if self.drop_episode.is_none() {
                Event::DroppingBegan.emit(&self.shared.name);
            }
            let before = self
                .drop_episode
                .as_ref()
                .map_or(self.reported, |episode| episode.before);
            self.drop_episode = Some(DropEpisode { last: now, before });
        } else if let Some(episode) = self
            .drop_episode
            .take_if(|episode| now.duration_since(episode.last) >= QUIET)
        {
            self.log_dropping_ended(&episode);
        }
        self.reported = counts;
    }

    /// Logs when unsupported contents appear and when they are gone.
    pub(super) fn watch_unsupported(&mut self) {
        if !self.log.has_unsupported() {
            if std::mem::take(&mut self.unsupported_logged) {
                Event::UnsupportedEnded.emit(&self.shared.name);
            }
        } else if !std::mem::replace(&mut self.unsupported_logged, true) {
            let contents = self.log.stored_contents();
            let unsupported: Vec<_> = contents.iter().filter(|stored| stored.unsupported).collect();
            let encodings: Vec<_> = unsupported
                .iter()
                .map(|stored| stored.contents.to_string())
                .collect();
            let (batches, samples) = unsupported.iter().fold((0, 0), |(batches, samples), stored| {
                (batches + stored.batches, samples + stored.samples)
            });
            let encodings = encodings.join(", ");
            Event::UnsupportedBegan {
                encodings: &encodings,
                batches,
                samples,
            }
            .emit(&self.shared.name);
        }
    }

    pub(super) fn log_dropping_ended(&self, episode: &DropEpisode) {
        let samples = self.log.counts().dropped_samples - episode.before.dropped_samples;
        Event::DroppingEnded { samples }.emit(&self.shared.name);
    }
}
