//! The side of the cycles: batches that are handed over, and those that wait for room.

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

/// Where a batch is after a hand-over.
pub(crate) enum Placed {
    /// Queued, stored or lost: it is counted.
    Done(Effects),
    /// It waits for room, uncounted, with its ticket. See [`Machine::enter`].
    Waits(Option<Ticket>),
}

impl Machine {
    /// A batch is handed over.
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

    /// A batch that waits looks for room, or whether there is any use in waiting. `began`: since when it waits. Gives until when
    /// it should wait; `None` when it is placed, and its ticket taken.
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
        // Whoever is woken goes first: the others have waited for less.
        let must_wait = self.must_wait(batch, ticket, storage, now, &mut effects);
        self.waiters = others;
        if must_wait {
            self.waiters += 1;
            let until = self.health.last_progress().max(began) + self.patience;
            return (Some(until), effects);
        }
        if let Some(ticket) = ticket.take() {
            self.admit(batch, ticket, now, &mut effects);
        }
        // Where there was room for one, there may be for the next.
        if self.waiters > 0 && (storage.is_some() || self.queue.samples() < self.queue.bound()) {
            effects.room = Room::One;
        }
        effects.work |= matches!(self.mode, Mode::Draining(_));
        (None, effects)
    }

    /// A batch has waited since `began` as long as it should: from now on nobody may wait.
    pub(crate) fn lose_patience(&mut self, began: Instant, now: Instant) -> Effects {
        let mut effects = Effects::default();
        if self.health.check_blocked(began, self.patience, now) {
            effects.room = Room::All;
        }
        effects
    }

    /// Whoever handed over a batch that waits went away: it is lost to this publisher, and counted.
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

    /// A run has ended: all its batches have been handed over.
    pub(crate) fn end_run(&mut self, run: Arc<Run>, end: Arc<RunEnd>) -> Effects {
        let mut effects = Effects::default();
        if self.served.follows_runs && !matches!(self.mode, Mode::Stopped) {
            self.runs.end(run, end);
            effects.work = true;
        }
        effects
    }

    /// The storage has stored something, or has something to deliver, or takes nothing any more.
    pub(crate) fn storage_changed(&mut self, storage: Option<&dyn Storage>, now: Instant) -> Effects {
        if storage.is_some_and(Storage::takes) {
            self.health.progress(now);
        }
        Effects {
            work: true,
            room: if self.waiters > 0 { Room::One } else { Room::Nobody },
            ..Effects::default()
        }
    }

    /// Whether a batch that is handed over now must wait for room. Where there is a storage, it is placed if possible: then its
    /// ticket is gone.
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
            && storage.takes()
            && !self.stands_still(now)
        {
            return self.waiters > 0 || !self.place(storage, &encoding, batch, ticket, now, effects);
        }
        self.health.blocked().is_none() && (self.waiters > 0 || !self.queue.fits(batch.len()))
    }

    /// Puts a batch into memory or on its way into the storage, in order; whether there was room.
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
        // Batches that came before this one and have no room here, or must all be stored.
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
            effects.work |= std::mem::take(&mut self.hungry);
        }
        placed
    }

    fn push(&mut self, batch: &Arc<Batch>, ticket: Ticket, now: Instant) {
        if self.served.follows_runs {
            self.runs.hold(batch);
        }
        self.queue.push(batch.clone(), ticket, now);
    }

    fn hand_to_storage(&mut self, storage: &dyn Storage, encoding: &Arc<dyn Encoding>, entry: Entry) -> bool {
        let bound = self.queue.bound();
        let batch = entry.batch().clone();
        match entry.offer_to(storage, encoding, bound) {
            None => {
                // It comes back without its run.
                self.runs.release(&batch);
                true
            }
            Some(entry) => {
                self.queue.undo_evict(entry);
                false
            }
        }
    }

    /// Queues the batch, and drops the oldest ones where it does not fit.
    fn admit(&mut self, batch: &Arc<Batch>, ticket: Ticket, now: Instant, effects: &mut Effects) {
        let samples = batch.len();
        self.counts.submit(samples);
        if matches!(self.mode, Mode::Stopped) {
            self.counts.drop(samples);
            if !std::mem::replace(&mut self.told_late, true) {
                effects.events.push(Event::CameTooLate);
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
                effects.work |= std::mem::take(&mut self.hungry) || self.runs.are_open();
            }
            None => {
                self.counts.drop(samples);
                self.health.lose(samples, bound, now, &mut effects.events);
                effects.lost_tickets.push(ticket);
            }
        }
    }
}
