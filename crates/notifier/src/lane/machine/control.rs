//! Calls of the notifier: reloads, the stop and the status.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::Histogram;
use nephoscope_plugin::Publisher;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Draining, Effects, Machine, Mode, Replacement, Room};
use crate::events::{Counts, Event};
use crate::lane::storage::Storage;
use crate::lane::target::Target;
use crate::options::STORE_TIME;
use crate::queue::Entry;
use crate::spool::Incoming;
use crate::status::PublisherState;

/// The batches that remained at the stop and were dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) samples: u64,
    pub(crate) batches: u64,
}

/// The status of a machine, without its storage.
pub(crate) struct View<'a> {
    pub(crate) url_shown: &'a str,
    pub(crate) state: PublisherState,
    pub(crate) bound: usize,
    pub(crate) queued_samples: usize,
    pub(crate) queued_batches: usize,
    pub(crate) oldest_age: Option<Duration>,
    pub(crate) counts: Counts,
    pub(crate) publish_durations: &'a Histogram,
}

impl Machine {
    /// Drains the queue until `until` and then stops. An earlier deadline of another call wins.
    pub(crate) fn drain(&mut self, until: Instant, storage: Option<&dyn Storage>, now: Instant) -> Effects {
        let mut effects = Effects::default();
        let mut deliver_until = until;
        if self.usable(storage).is_some() {
            let left = until.saturating_duration_since(now);
            deliver_until = until.checked_sub(STORE_TIME.min(left / 4)).unwrap_or(until);
        }
        self.mode = match self.mode {
            Mode::Open => Mode::Draining(Draining { until, deliver_until }),
            Mode::Draining(other) => Mode::Draining(Draining {
                until: other.until.min(until),
                deliver_until: other.deliver_until.min(deliver_until),
            }),
            Mode::Stopped => return effects,
        };
        self.health.resume(now);
        effects.work = true;
        effects
    }

    /// Delivers the storage first and retries immediately.
    pub(crate) fn prioritize_backlog(&mut self, now: Instant) -> Effects {
        let mut effects = Effects::default();
        if let Mode::Open = self.mode {
            self.backlog_first = true;
            self.health.resume(now);
            effects.work = true;
        }
        effects
    }

    /// Changes the limit and possibly the publisher. Returns a receiver for the replacement if the publisher is a different one.
    pub(crate) fn update(
        &mut self,
        target: Target,
        bound: usize,
        now: Instant,
    ) -> (Option<oneshot::Receiver<()>>, Effects) {
        self.queue.set_bound(bound);
        let mut effects = Effects {
            room: self.room_if_eased(),
            ..Effects::default()
        };
        if let Some(withdrawn) = self.replacement.take()
            && !Arc::ptr_eq(&withdrawn.target.publisher, &target.publisher)
        {
            self.unused.push(withdrawn.target.publisher);
            effects.work = true;
        }
        if Arc::ptr_eq(&self.target.publisher, &target.publisher) {
            self.target.url_shown = target.url_shown;
            return (None, effects);
        }
        let (done, swapped) = oneshot::channel();
        self.replacement = Some(Replacement {
            target,
            until: now + self.drain_timeout,
            done,
        });
        effects.work = true;
        (Some(swapped), effects)
    }

    /// Removes the remaining batches, to be stored, and stops. Returns the deadline for storing them, or `None` if the machine
    /// has already ended. Waiting submitters are woken, since no room will follow.
    pub(crate) fn take_remaining(&mut self, now: Instant) -> Option<(Instant, Vec<Incoming>, Effects)> {
        if self.ended {
            return None;
        }
        let until = match self.mode {
            Mode::Draining(draining) => draining.until,
            Mode::Open | Mode::Stopped => now,
        };
        self.mode = Mode::Stopped;
        self.runs.clear();
        let mut rest = Vec::new();
        if let Some(encoding) = &self.target.encoding {
            for entry in self.queue.empty() {
                if let (batch, Some(ticket)) = entry.into_parts() {
                    rest.push(Incoming {
                        batch,
                        encoding: encoding.clone(),
                        ticket,
                    });
                }
            }
        }
        let effects = Effects {
            room: Room::All,
            ..Effects::default()
        };
        Some((until, rest, effects))
    }

    /// Drops and counts the remaining batches, including those that the storage did not store (`unstored`). Returns `None` if the
    /// machine has already ended.
    pub(crate) fn stop(&mut self, unstored: impl FnOnce() -> Vec<Incoming>) -> Option<(Remaining, Effects)> {
        if self.ended {
            return None;
        }
        self.ended = true;
        self.mode = Mode::Stopped;
        self.runs.clear();
        let mut effects = Effects {
            room: Room::All,
            ..Effects::default()
        };
        let mut left = Remaining::default();
        let mut drop_batch = |counts: &mut Counts, samples: usize| {
            counts.drop(samples);
            left.samples += samples as u64;
            left.batches += 1;
        };
        let queued: VecDeque<Entry> = self.queue.empty();
        for entry in queued {
            drop_batch(&mut self.counts, entry.samples());
            effects.lost.push(entry);
        }
        for incoming in unstored() {
            drop_batch(&mut self.counts, incoming.batch.len());
            effects.lost_tickets.push(incoming.ticket);
        }
        if left.batches > 0 {
            effects.events.push(Event::Abandoned {
                samples: left.samples,
                batches: left.batches,
            });
        }
        self.health.finish(&mut effects.events);
        Some((left, effects))
    }

    /// The number of samples in the queue.
    pub(crate) fn queued_samples(&self) -> usize {
        self.queue.samples()
    }

    /// The current status.
    pub(crate) fn view(&self, storage: Option<&dyn Storage>, now: Instant) -> View<'_> {
        View {
            url_shown: &self.target.url_shown,
            state: self.state(storage, now),
            bound: self.queue.bound(),
            queued_samples: self.queue.own_samples(),
            queued_batches: self.queue.own_batches(),
            oldest_age: self.queue.oldest_since().map(|since| now.duration_since(since)),
            counts: self.counts,
            publish_durations: &self.publish_durations,
        }
    }

    fn state(&self, storage: Option<&dyn Storage>, now: Instant) -> PublisherState {
        let failing = self.health.failing();
        // While the storage accepts batches, no submitter waits and nothing is lost.
        let spooling = self
            .usable(storage)
            .is_some_and(|(storage, _)| storage.accepts() && !self.is_stalled(now));
        let blocked = self.health.blocked().filter(|_| !spooling);
        match (&self.mode, blocked, failing) {
            (Mode::Stopped, ..) => PublisherState::Stopped,
            (Mode::Draining(draining), ..) => PublisherState::Draining {
                until: draining.until,
            },
            (Mode::Open, Some(since), failing) => PublisherState::Blocked {
                since,
                error: failing.map(|failing| failing.error.clone()),
                attempts: failing.map_or(0, |failing| failing.attempts),
                dropped: self.health.dropping(),
            },
            (Mode::Open, None, Some(failing)) => PublisherState::Retrying {
                since: failing.since,
                error: failing.error.clone(),
                attempts: failing.attempts,
            },
            (Mode::Open, None, None) if self.queue.is_empty() => PublisherState::Idle,
            (Mode::Open, None, None) => PublisherState::Delivering,
        }
    }

    /// Removes all publishers of this lane, to be closed.
    pub(super) fn dismiss(&mut self) -> Vec<Arc<dyn Publisher>> {
        let mut leaving = std::mem::take(&mut self.unused);
        leaving.push(self.target.publisher.clone());
        leaving.extend(
            self.replacement
                .take()
                .map(|replacement| replacement.target.publisher),
        );
        leaving
    }
}
