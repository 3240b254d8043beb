//! What is held for one publisher: batches that wait, in order, and batches that are under way.
//!
//! Plain bookkeeping under its owner's lock: no clock, no waiting, no counters.

use std::collections::VecDeque;
use std::sync::Arc;

use nephoscope_model::{Batch, Encoding};
use tokio::time::Instant;

use crate::lane::Storage;
use crate::receipt::Ticket;

/// An empty queue gives its memory back when an outage has made it grow beyond so many places.
const KEPT_PLACES: usize = 64;

/// A batch that is held for a publisher.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its place in the order of departures, once it has set out.
    number: u64,
    batch: Arc<Batch>,
    /// None for a batch that was stored: whoever handed it over knows.
    ticket: Option<Ticket>,
    /// Its number in the spool.
    stored: Option<u64>,
    since: Instant,
}

impl Entry {
    pub(crate) fn samples(&self) -> usize {
        self.batch.len()
    }

    pub(crate) fn stored(&self) -> Option<u64> {
        self.stored
    }

    pub(crate) fn batch(&self) -> &Arc<Batch> {
        &self.batch
    }

    /// Puts a batch that is only here on its way into the storage; it comes back if there is no room.
    pub(crate) fn offer_to(
        mut self,
        storage: &dyn Storage,
        encoding: &Arc<dyn Encoding>,
        bound: usize,
    ) -> Option<Self> {
        let taken = storage.offer(&self.batch, encoding, &mut self.ticket, bound);
        (!taken).then_some(self)
    }

    /// The batch, and its ticket if it has one.
    pub(crate) fn into_parts(self) -> (Arc<Batch>, Option<Ticket>) {
        (self.batch, self.ticket)
    }

    /// The publisher has delivered it.
    pub(crate) fn confirm(self) {
        if let Some(ticket) = self.ticket {
            ticket.confirm();
        }
    }
}

#[derive(Debug)]
struct Flight {
    entry: Entry,
    /// The epoch of the publisher's health in which it set out.
    epoch: u64,
}

#[derive(Debug)]
pub(crate) struct Queue {
    bound: usize,
    /// Have set out and come back, in the order in which they set out: they set out again before all others.
    returned: VecDeque<Entry>,
    /// Have not set out, in the order in which they came.
    waiting: VecDeque<Entry>,
    waiting_samples: usize,
    flying: Vec<Flight>,
    flying_samples: usize,
    /// Of all of them: those that the spool has as well.
    stored_batches: usize,
    stored_samples: usize,
    next_number: u64,
}

impl Queue {
    /// An empty queue that holds at most `bound` samples, those under way included.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bound,
            returned: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_samples: 0,
            flying: Vec::new(),
            flying_samples: 0,
            stored_batches: 0,
            stored_samples: 0,
            next_number: 0,
        }
    }

    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// Changes the bound. What is held beyond a smaller one stays: a reload loses nothing.
    pub(crate) fn set_bound(&mut self, bound: usize) {
        self.bound = bound;
    }

    /// Samples that are held here, also those that the spool has as well.
    pub(crate) fn samples(&self) -> usize {
        self.waiting_samples + self.flying_samples
    }

    /// Batches that are held here and nowhere else.
    pub(crate) fn own_batches(&self) -> usize {
        let all = self.returned.len() + self.waiting.len() + self.flying.len();
        all.saturating_sub(self.stored_batches)
    }

    /// Samples that are held here and nowhere else.
    pub(crate) fn own_samples(&self) -> usize {
        self.samples().saturating_sub(self.stored_samples)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.waiting.is_empty() && self.flying.is_empty()
    }

    pub(crate) fn flying(&self) -> usize {
        self.flying.len()
    }

    /// How many of those under way set out in `epoch`.
    pub(crate) fn flying_since(&self, epoch: u64) -> usize {
        self.flying.iter().filter(|flight| flight.epoch == epoch).count()
    }

    /// The batch that sets out next of those that have not.
    pub(crate) fn first_waiting(&self) -> Option<&Arc<Batch>> {
        self.waiting.front().map(Entry::batch)
    }

    /// All batches that wait, also those that have come back.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Arc<Batch>> {
        self.returned.iter().chain(&self.waiting).map(Entry::batch)
    }

    /// When the oldest batch came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let flying = self.flying.iter().map(|flight| flight.entry.since);
        let waiting = self.waiting.front().into_iter().chain(&self.returned);
        flying.chain(waiting.map(|entry| entry.since)).min()
    }

    /// Whether so many further samples have room. A batch beyond the bound has room when it is alone.
    pub(crate) fn fits(&self, samples: usize) -> bool {
        self.is_empty() || self.samples().saturating_add(samples) <= self.bound
    }

    /// Whether enough is free for those who wait for room to be woken: a quarter, so that they are not woken for
    /// every single batch that leaves a full queue.
    pub(crate) fn has_eased(&self) -> bool {
        self.samples() <= self.bound - self.bound / 4
    }

    /// Adds a batch behind the others, whether it fits or not.
    pub(crate) fn push(&mut self, batch: Arc<Batch>, ticket: Ticket, now: Instant) {
        self.waiting_samples += batch.len();
        self.waiting.push_back(Entry {
            number: 0,
            batch,
            ticket: Some(ticket),
            stored: None,
            since: now,
        });
    }

    /// Takes the oldest batches that wait out until so many samples fit; what the spool has as well stays. Where that
    /// cannot be reached, since too much is under way, nothing is taken out: `None`.
    pub(crate) fn make_room(&mut self, samples: usize) -> Option<Vec<Entry>> {
        let reachable = self.flying.is_empty() || self.flying_samples.saturating_add(samples) <= self.bound;
        if !reachable {
            return None;
        }
        let mut removed = Vec::new();
        while !self.fits(samples) {
            let returned = self.returned.iter().position(|entry| entry.stored.is_none());
            let entry = match returned {
                Some(place) => self.returned.remove(place),
                None => self.waiting.pop_front(),
            };
            let Some(entry) = entry else {
                break;
            };
            self.waiting_samples -= entry.samples();
            removed.push(entry);
        }
        Some(removed)
    }

    /// Takes out the oldest batch that has never set out.
    pub(crate) fn evict(&mut self) -> Option<Entry> {
        let entry = self.waiting.pop_front()?;
        self.waiting_samples -= entry.samples();
        Some(entry)
    }

    /// Gives back what [`Queue::evict`] has taken out.
    pub(crate) fn undo_evict(&mut self, entry: Entry) {
        self.waiting_samples += entry.samples();
        self.waiting.push_front(entry);
    }

    /// The oldest batch that has come back sets out again.
    pub(crate) fn take_returned(&mut self, epoch: u64) -> Option<(u64, Arc<Batch>)> {
        let entry = self.returned.pop_front()?;
        self.waiting_samples -= entry.samples();
        Some(self.fly(entry, epoch))
    }

    /// The oldest waiting batch sets out.
    pub(crate) fn take(&mut self, epoch: u64) -> Option<(u64, Arc<Batch>)> {
        if let Some(taken) = self.take_returned(epoch) {
            return Some(taken);
        }
        let mut entry = self.waiting.pop_front()?;
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_PLACES {
            self.waiting.shrink_to(KEPT_PLACES);
        }
        self.waiting_samples -= entry.samples();
        entry.number = self.number();
        Some(self.fly(entry, epoch))
    }

    /// A batch from elsewhere sets out: one that the spool has (its number there), or one that the spool gives back.
    pub(crate) fn depart(
        &mut self,
        batch: Arc<Batch>,
        ticket: Option<Ticket>,
        stored: Option<u64>,
        epoch: u64,
        now: Instant,
    ) -> (u64, Arc<Batch>) {
        if stored.is_some() {
            self.stored_batches += 1;
            self.stored_samples += batch.len();
        }
        let entry = Entry {
            number: self.number(),
            batch,
            ticket,
            stored,
            since: now,
        };
        self.fly(entry, epoch)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn fly(&mut self, entry: Entry, epoch: u64) -> (u64, Arc<Batch>) {
        self.flying_samples += entry.samples();
        let taken = (entry.number, entry.batch.clone());
        self.flying.push(Flight { entry, epoch });
        taken
    }

    /// A batch that has landed stays away.
    pub(crate) fn forget(&mut self, entry: &Entry) {
        if entry.stored.is_some() {
            self.stored_batches -= 1;
            self.stored_samples -= entry.samples();
        }
    }

    /// A batch that was under way leaves; with the epoch in which it set out.
    pub(crate) fn land(&mut self, number: u64) -> Option<(Entry, u64)> {
        let place = self
            .flying
            .iter()
            .position(|flight| flight.entry.number == number)?;
        let Flight { entry, epoch } = self.flying.swap_remove(place);
        self.flying_samples -= entry.samples();
        Some((entry, epoch))
    }

    /// A batch that has landed waits again, in its place.
    pub(crate) fn put_back(&mut self, entry: Entry) {
        self.waiting_samples += entry.samples();
        let place = self.returned.partition_point(|other| other.number < entry.number);
        self.returned.insert(place, entry);
    }

    /// Everything that was under way waits again.
    pub(crate) fn put_all_back(&mut self) {
        for flight in std::mem::take(&mut self.flying) {
            self.flying_samples -= flight.entry.samples();
            self.put_back(flight.entry);
        }
    }

    /// Gives those back to the spool that it has as well and that are not under way: their numbers there.
    pub(crate) fn give_back(&mut self) -> Vec<u64> {
        let (mut numbers, mut rest) = (Vec::new(), VecDeque::new());
        for entry in std::mem::take(&mut self.returned) {
            match entry.stored {
                Some(number) => {
                    numbers.push(number);
                    self.waiting_samples -= entry.samples();
                    self.forget(&entry);
                }
                None => rest.push_back(entry),
            }
        }
        self.returned = rest;
        numbers
    }

    /// Takes everything out that is nowhere else, oldest first, and forgets the rest.
    pub(crate) fn empty(&mut self) -> VecDeque<Entry> {
        self.put_all_back();
        self.waiting_samples = 0;
        self.stored_batches = 0;
        self.stored_samples = 0;
        let mut all = std::mem::take(&mut self.returned);
        all.append(&mut self.waiting);
        all.retain(|entry| entry.stored.is_none());
        all
    }
}
