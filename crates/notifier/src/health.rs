//! How a publisher is doing: failing or not, blocked or not, losing samples or not.
//!
//! A publish that fails opens a new *epoch*. Publishes that set out before it say nothing new: of several under way
//! that fail together only the first lengthens the pause, and one that succeeds late does not end it. In a new epoch
//! a single publish sets out as a probe; when it succeeds, all may.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_plugin::Backoff;
use tokio::time::Instant;

use crate::events::Event;
use crate::options::{DRAIN_BACKOFF_MAX, NOT_BEFORE_MAX, NotifierOptions};

/// A publisher that fails every now and then writes its lines at most this often, and an episode of losses that
/// pauses for less goes on.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Health {
    backoff: Backoff,
    epoch: u64,
    failing: Option<Failing>,
    /// When the last line on the end of failures was written.
    told: Option<Instant>,
    /// When the last batch left the queue by the publisher's doing.
    last_progress: Instant,
    blocked: Option<Instant>,
    dropping: Option<Episode>,
    refusing: Option<Episode>,
}

/// Failures in a row.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) since: Instant,
    pub(crate) attempts: u32,
    pub(crate) error: Arc<str>,
    resume_at: Instant,
    told: bool,
}

/// Losses that belong together.
#[derive(Debug)]
struct Episode {
    since: Instant,
    last: Instant,
    samples: u64,
}

impl Episode {
    /// Counts a loss; true when it begins an episode.
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
            told: None,
            last_progress: now,
            blocked: None,
            dropping: None,
            refusing: None,
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }

    /// When the publisher counted as blocked.
    pub(crate) fn blocked(&self) -> Option<Instant> {
        self.blocked
    }

    /// Samples that the present episode has dropped.
    pub(crate) fn dropping(&self) -> u64 {
        self.dropping.as_ref().map_or(0, |episode| episode.samples)
    }

    pub(crate) fn last_progress(&self) -> Instant {
        self.last_progress
    }

    /// The spool has taken something: the queue moves.
    pub(crate) fn progress(&mut self, now: Instant) {
        self.last_progress = now;
    }

    /// When the next publish may set out, unless at once.
    pub(crate) fn resume_at(&self, now: Instant) -> Option<Instant> {
        self.failing
            .as_ref()
            .map(|failing| failing.resume_at)
            .filter(|resume_at| *resume_at > now)
    }

    /// The next retry need not wait: the queue is being emptied for good, or a new publisher is in place.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(failing) = &mut self.failing {
            failing.resume_at = now;
        }
    }

    /// A publish of `epoch` failed and will be tried again, after `not_before` at the earliest where the other side asks for that;
    /// `last_chance` when the queue is being emptied for good.
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
        let asked = not_before.unwrap_or_default().min(NOT_BEFORE_MAX);
        let mut pause = self.backoff.pause(attempts).max(asked);
        if last_chance {
            pause = pause.min(DRAIN_BACKOFF_MAX);
        }
        let error: Arc<str> = error.into();
        let since = self.failing.as_ref().map_or(now, |failing| failing.since);
        let mut told = self.failing.as_ref().is_some_and(|failing| failing.told);
        if !told && self.told.is_none_or(|told| now.duration_since(told) >= QUIET) {
            told = true;
            events.push(Event::RetryingBegan {
                attempts,
                error: error.clone(),
            });
        }
        self.failing = Some(Failing {
            since,
            attempts,
            error,
            // A pause beyond what the clock can hold is as good as for ever.
            resume_at: now
                .checked_add(pause)
                .unwrap_or_else(|| now + Duration::from_secs(86_400)),
            told,
        });
    }

    /// A publish of `epoch` had an answer: its batch was taken, or refused for good. `emptied` when nothing is held
    /// any more.
    pub(crate) fn answer(&mut self, epoch: u64, emptied: bool, now: Instant, events: &mut Vec<Event>) {
        self.last_progress = now;
        self.blocked = None;
        if epoch == self.epoch
            && let Some(failing) = self.failing.take()
            && failing.told
        {
            self.told = Some(now);
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

    /// A batch was taken.
    pub(crate) fn deliver(&mut self, now: Instant, events: &mut Vec<Event>) {
        if let Some(episode) = self.refusing.take_if(|episode| episode.is_quiet(now)) {
            events.push(Event::RefusingEnded {
                after: episode.last.duration_since(episode.since),
                samples: episode.samples,
            });
        }
    }

    /// A batch was refused for good.
    pub(crate) fn refuse(&mut self, samples: usize, reason: String, now: Instant, events: &mut Vec<Event>) {
        if Episode::lose(&mut self.refusing, samples, now) {
            events.push(Event::RefusingBegan { reason });
        }
    }

    /// A batch was dropped at the bound.
    pub(crate) fn lose(&mut self, samples: usize, bound: usize, now: Instant, events: &mut Vec<Event>) {
        if Episode::lose(&mut self.dropping, samples, now) {
            events.push(Event::DroppingBegan {
                bound,
                error: self.failing.as_ref().map(|failing| failing.error.clone()),
            });
        }
    }

    /// Whether nothing was taken for `patience` since `began`; from then on the publisher counts as blocked until
    /// it takes something.
    pub(crate) fn check_blocked(&mut self, began: Instant, patience: Duration, now: Instant) -> bool {
        if now.duration_since(self.last_progress.max(began)) >= patience {
            self.blocked.get_or_insert(now);
        }
        self.blocked.is_some()
    }

    /// Another publisher is in place, of which nothing is known.
    pub(crate) fn start_anew(&mut self, now: Instant) {
        self.epoch += 1;
        self.last_progress = now;
        self.blocked = None;
        // The failures go on, for the log, until the new one delivers: it may fail as well.
        self.resume(now);
    }

    /// The end: tells of losses whose end nobody has told.
    pub(crate) fn finish(&mut self, events: &mut Vec<Event>) {
        if let Some(episode) = self.dropping.take() {
            events.push(Event::DroppingEnded {
                after: episode.last.duration_since(episode.since),
                samples: episode.samples,
            });
        }
        if let Some(episode) = self.refusing.take() {
            events.push(Event::RefusingEnded {
                after: episode.last.duration_since(episode.since),
                samples: episode.samples,
            });
        }
    }
}
