//! Calls of the cycles: submitted batches, and submissions that wait for room.

use std::sync::Arc;

use nephoscope_model::{Batch, Encoding, Run};
use nephoscope_plugin::RunEnd;
use tokio::time::Instant;

use super::{Effects, Machine, Mode, Room};
use crate::events::Event;
use crate::lane::storage::Storage;
use crate::queue::Entry;
use crate::receipt::Ticket;
use crate::spool::SpoolMode;

/// The placement of a submitted batch.
pub(crate) enum Placed {
    /// It was queued, stored or dropped, and counted.
    Done(Effects),
    /// It waits for room with its ticket and is not yet counted. See [`Machine::enter`].
    Waits(Option<Ticket>),
}

impl Machine {
    /// Submits a batch.
    pub(crate) fn offer(
        &mut self,
        batch: &Arc<Batch>,
        ticket: Ticket,
        storage: Option<&dyn Storage>,
        now: Instant,
    ) -> Placed {
        let mut ticket = Some(ticket);
        let mut effects = Effects::default();
        if self.must_wait(batch, &mut ticket, storage, now, &mut effects) {
            self.waiters += 1;
            return Placed::Waits(ticket);
        }
        if let Some(ticket) = ticket {
            self.admit(batch, ticket, now, &mut effects);
        }
        Placed::Done(effects)
    }

    /// Tries again to place a batch that has waited since `began`. Returns until when it should wait; `None` when it is placed
    /// and its ticket taken.
    pub(crate) fn enter(
        &mut self,
        batch: &Arc<Batch>,
        ticket: &mut Option<Ticket>,
        began: Instant,
        storage: Option<&dyn Storage>,
        now: Instant,
    ) -> (Option<Instant>, Effects) {
        let mut effects = Effects::default();
        self.waiters -= 1;
        let others = std::mem::replace(&mut self.waiters, 0);
        // The woken submitter precedes the others, which have waited for less time.
        let must_wait = self.must_wait(batch, ticket, storage, now, &mut effects);
        self.waiters = others;
        if must_wait {
            self.waiters += 1;
            let until = self.health.last_progress().max(began) + self.full_queue_timeout;
            return (Some(until), effects);
        }
        if let Some(ticket) = ticket.take() {
            self.admit(batch, ticket, now, &mut effects);
        }
        // There may be room for the next submitter, too.
        if self.waiters > 0 && (storage.is_some() || self.queue.samples() < self.queue.bound()) {
            effects.room = Room::One;
        }
        effects.work |= matches!(self.mode, Mode::Draining(_));
        (None, effects)
    }

    /// Records that a batch has waited for too long since `began`. If the publisher is blocked, no submitter waits any more.
    pub(crate) fn wait_expired(&mut self, began: Instant, now: Instant) -> Effects {
        let mut effects = Effects::default();
        if self.health.check_blocked(began, self.full_queue_timeout, now) {
            effects.room = Room::All;
        }
        effects
    }

    /// Drops a waiting batch whose submitter was cancelled, and counts it.
    pub(crate) fn withdraw(&mut self, samples: usize, ticket: Ticket, now: Instant) -> Effects {
        let mut effects = Effects::default();
        self.waiters -= 1;
        self.counts.submit(samples);
        self.counts.drop(samples);
        let bound = self.queue.bound();
        self.health.lose(samples, bound, now, &mut effects.events);
        effects.lost_tickets.push(ticket);
        effects.room = self.room_if_eased();
        effects.work = matches!(self.mode, Mode::Draining(_));
        effects
    }

    /// Records the end of a run, whose batches were all submitted.
    pub(crate) fn end_run(&mut self, run: Arc<Run>, end: Arc<RunEnd>) -> Effects {
        let mut effects = Effects::default();
        if self.target.follows_runs && !matches!(self.mode, Mode::Stopped) {
            self.runs.end(run, end);
            effects.work = true;
        }
        effects
    }

    /// Handles a change of the storage: it stored a batch, has one to deliver, or stopped accepting batches.
    pub(crate) fn storage_changed(&mut self, storage: Option<&dyn Storage>, now: Instant) -> Effects {
        if storage.is_some_and(Storage::accepts) {
            self.health.progress(now);
        }
        Effects {
            work: true,
            room: if self.waiters > 0 { Room::One } else { Room::None },
            ..Effects::default()
        }
    }

    /// Whether a submitted batch must wait for room. If there is a storage, places the batch if possible and takes its ticket.
    fn must_wait(
        &mut self,
        batch: &Arc<Batch>,
        ticket: &mut Option<Ticket>,
        storage: Option<&dyn Storage>,
        now: Instant,
        effects: &mut Effects,
    ) -> bool {
        if matches!(self.mode, Mode::Stopped) {
            return false;
        }
        if let Some((storage, encoding)) = self.usable(storage)
            && storage.accepts()
            && !self.is_stalled(now)
        {
            return self.waiters > 0 || !self.place(storage, &encoding, batch, ticket, now, effects);
        }
        self.health.blocked().is_none() && (self.waiters > 0 || !self.queue.fits(batch.len()))
    }

    /// Places a batch in the queue or offers it to the storage, in order. Returns whether there was room.
    fn place(
        &mut self,
        storage: &dyn Storage,
        encoding: &Arc<dyn Encoding>,
        batch: &Arc<Batch>,
        ticket: &mut Option<Ticket>,
        now: Instant,
        effects: &mut Effects,
    ) -> bool {
        let always = storage.mode() == SpoolMode::Always;
        let bound = self.queue.bound();
        // Earlier batches are stored first: the queue has no room, or the mode requires all batches to be stored.
        while (always || !self.queue.fits(batch.len()))
            && let Some(entry) = self.queue.evict()
        {
            if !self.hand_to_storage(storage, encoding, entry) {
                return false;
            }
        }
        let placed = if !always && self.queue.fits(batch.len()) {
            if let Some(ticket) = ticket.take() {
                self.push(batch, ticket, now);
            }
            true
        } else {
            storage.offer(batch, encoding, ticket, bound)
        };
        if placed {
            self.counts.submit(batch.len());
            effects.work |= std::mem::take(&mut self.task_idle);
        }
        placed
    }

    fn push(&mut self, batch: &Arc<Batch>, ticket: Ticket, now: Instant) {
        if self.target.follows_runs {
            self.runs.track(batch);
        }
        self.queue.push(batch.clone(), ticket, now);
    }

    fn hand_to_storage(&mut self, storage: &dyn Storage, encoding: &Arc<dyn Encoding>, entry: Entry) -> bool {
        let bound = self.queue.bound();
        let batch = entry.batch().clone();
        match entry.offer_to(storage, encoding, bound) {
            None => {
                // The storage returns it without its run.
                self.runs.release(&batch);
                true
            }
            Some(entry) => {
                self.queue.undo_evict(entry);
                false
            }
        }
    }

    /// Queues the batch, and drops the oldest ones to make room.
    fn admit(&mut self, batch: &Arc<Batch>, ticket: Ticket, now: Instant, effects: &mut Effects) {
        let samples = batch.len();
        self.counts.submit(samples);
        if matches!(self.mode, Mode::Stopped) {
            self.counts.drop(samples);
            if !std::mem::replace(&mut self.late_submission_logged, true) {
                effects.events.push(Event::SubmittedAfterStop);
            }
            effects.lost_tickets.push(ticket);
            return;
        }
        let bound = self.queue.bound();
        match self.queue.make_room(samples) {
            Some(removed) => {
                for entry in &removed {
                    self.runs.release(entry.batch());
                    self.counts.drop(entry.samples());
                    self.health.lose(entry.samples(), bound, now, &mut effects.events);
                }
                effects.lost = removed;
                self.push(batch, ticket, now);
                effects.work |= std::mem::take(&mut self.task_idle) || self.runs.are_open();
            }
            None => {
                self.counts.drop(samples);
                self.health.lose(samples, bound, now, &mut effects.events);
                effects.lost_tickets.push(ticket);
            }
        }
    }
}
