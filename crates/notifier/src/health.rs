//! The health of a publisher: failing, blocked or losing samples.
//!
//! A failed publish begins a new *epoch*. Results of publishes that started in an earlier epoch do not change the state: of
//! several in-flight publishes that fail together only the first increases the backoff, and a late success does not end it. In a
//! new epoch a single publish starts as a probe. All publishes may start after it succeeds.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_plugin::Backoff;
use tokio::time::Instant;

use crate::events::Event;
use crate::options::{DRAIN_BACKOFF_MAX, NOT_BEFORE_MAX, NotifierOptions};

/// The minimum interval between the log lines of a publisher that fails intermittently. Losses with shorter gaps belong to the
/// same episode.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Health {
    backoff: Backoff,
    epoch: u64,
    failing: Option<Failing>,
    /// The time of the last log line about a recovery.
    logged: Option<Instant>,
    /// The time at which a batch last left the queue.
    last_progress: Instant,
    blocked: Option<Instant>,
    dropping: Option<Episode>,
    rejecting: Option<Episode>,
}

/// A series of consecutive failures.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) since: Instant,
    pub(crate) attempts: u32,
    pub(crate) error: Arc<str>,
    resume_at: Instant,
    logged: bool,
}

/// A series of losses.
#[derive(Debug)]
struct Episode {
    since: Instant,
    last: Instant,
    samples: u64,
}

impl Episode {
    /// Counts a loss; returns true when it begins an episode.
    fn lose(episode: &mut Option<Self>, samples: usize, now: Instant) -> bool {
        let begins = episode.is_none();
        let episode = episode.get_or_insert(Self {
            since: now,
            last: now,
            samples: 0,
        });
        episode.last = now;
        episode.samples += samples as u64;
        begins
    }

    fn is_quiet(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= QUIET
    }
}

impl Health {
    pub(crate) fn new(options: &NotifierOptions, now: Instant) -> Self {
        Self {
            backoff: Backoff::new(options.backoff_min, options.backoff_max),
            epoch: 0,
            failing: None,
            logged: None,
            last_progress: now,
            blocked: None,
            dropping: None,
            rejecting: None,
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }

    /// Since when the publisher counts as blocked.
    pub(crate) fn blocked(&self) -> Option<Instant> {
        self.blocked
    }

    /// The number of samples dropped in the current episode.
    pub(crate) fn dropping(&self) -> u64 {
        self.dropping.as_ref().map_or(0, |episode| episode.samples)
    }

    pub(crate) fn last_progress(&self) -> Instant {
        self.last_progress
    }

    /// Records that the spool stored a batch.
    pub(crate) fn progress(&mut self, now: Instant) {
        self.last_progress = now;
    }

    /// When the next publish may start; `None` if it may start now.
    pub(crate) fn resume_at(&self, now: Instant) -> Option<Instant> {
        self.failing
            .as_ref()
            .map(|failing| failing.resume_at)
            .filter(|resume_at| *resume_at > now)
    }

    /// Ends the current pause: the queue is drained, or the publisher was replaced.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(failing) = &mut self.failing {
            failing.resume_at = now;
        }
    }

    /// Records a failed publish of `epoch` that will be retried. `not_before` is the pause that the destination requested.
    /// `last_chance` is set while the queue is drained.
    pub(crate) fn fail(
        &mut self,
        epoch: u64,
        error: String,
        not_before: Option<Duration>,
        last_chance: bool,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        if epoch != self.epoch {
            return;
        }
        self.epoch += 1;
        let attempts = self
            .failing
            .as_ref()
            .map_or(0, |failing| failing.attempts)
            .saturating_add(1);
        let requested = not_before.unwrap_or_default().min(NOT_BEFORE_MAX);
        let mut pause = self.backoff.pause(attempts).max(requested);
        if last_chance {
            pause = pause.min(DRAIN_BACKOFF_MAX);
        }
        let error: Arc<str> = error.into();
        let since = self.failing.as_ref().map_or(now, |failing| failing.since);
        let mut logged = self.failing.as_ref().is_some_and(|failing| failing.logged);
        if !logged
            && self
                .logged
                .is_none_or(|logged| now.duration_since(logged) >= QUIET)
        {
            logged = true;
            events.push(Event::RetryingBegan {
                attempts,
                error: error.clone(),
            });
        }
        self.failing = Some(Failing {
            since,
            attempts,
            error,
            // A pause beyond the range of the clock becomes a day.
            resume_at: now
                .checked_add(pause)
                .unwrap_or_else(|| now + Duration::from_secs(86_400)),
            logged,
        });
    }

    /// Records that a publish of `epoch` was accepted or permanently rejected. `emptied` is set when the queue is empty.
    pub(crate) fn complete(&mut self, epoch: u64, emptied: bool, now: Instant, events: &mut Vec<Event>) {
        self.last_progress = now;
        self.blocked = None;
        if epoch == self.epoch
            && let Some(failing) = self.failing.take()
            && failing.logged
        {
            self.logged = Some(now);
            events.push(Event::RetryingEnded {
                after: now.duration_since(failing.since),
                attempts: failing.attempts,
            });
        }
        if let Some(episode) = self.dropping.take_if(|episode| emptied || episode.is_quiet(now)) {
            events.push(Event::DroppingEnded {
                after: episode.last.duration_since(episode.since),
                samples: episode.samples,
            });
        }
    }

    /// Records an accepted batch.
    pub(crate) fn deliver(&mut self, now: Instant, events: &mut Vec<Event>) {
        if let Some(episode) = self.rejecting.take_if(|episode| episode.is_quiet(now)) {
            events.push(Event::RejectingEnded {
                after: episode.last.duration_since(episode.since),
                samples: episode.samples,
            });
        }
    }

    /// Records a permanently rejected batch.
    pub(crate) fn reject(&mut self, samples: usize, reason: String, now: Instant, events: &mut Vec<Event>) {
        if Episode::lose(&mut self.rejecting, samples, now) {
            events.push(Event::RejectingBegan { reason });
        }
    }

    /// Records a batch that was dropped at the queue's limit.
    pub(crate) fn lose(&mut self, samples: usize, bound: usize, now: Instant, events: &mut Vec<Event>) {
        if Episode::lose(&mut self.dropping, samples, now) {
            events.push(Event::DroppingBegan {
                bound,
                error: self.failing.as_ref().map(|failing| failing.error.clone()),
            });
        }
    }

    /// Whether the publisher is blocked: the queue made no progress for `full_queue_timeout` since `began`. It then counts as
    /// blocked until it accepts a batch.
    pub(crate) fn check_blocked(
        &mut self,
        began: Instant,
        full_queue_timeout: Duration,
        now: Instant,
    ) -> bool {
        if now.duration_since(self.last_progress.max(began)) >= full_queue_timeout {
            self.blocked.get_or_insert(now);
        }
        self.blocked.is_some()
    }

    /// Resets the state for a new publisher.
    pub(crate) fn reset(&mut self, now: Instant) {
        self.epoch += 1;
        self.last_progress = now;
        self.blocked = None;
        // The failure stays recorded, for the log, until the new publisher delivers.
        self.resume(now);
    }

    /// Ends all episodes of losses, so that they are logged.
    pub(crate) fn finish(&mut self, events: &mut Vec<Event>) {
        if let Some(episode) = self.dropping.take() {
            events.push(Event::DroppingEnded {
                after: episode.last.duration_since(episode.since),
                samples: episode.samples,
            });
        }
        if let Some(episode) = self.rejecting.take() {
            events.push(Event::RejectingEnded {
                after: episode.last.duration_since(episode.since),
                samples: episode.samples,
            });
        }
    }
}
