//! The in-memory queue of a publisher: waiting batches in order, and in-flight batches.
//!
//! It is plain bookkeeping under its owner's lock, without a clock, waits or counters.

use std::collections::VecDeque;
use std::sync::Arc;

use nephoscope_model::{Batch, Encoding};
use tokio::time::Instant;

use crate::lane::Storage;
use crate::receipt::Ticket;

/// The capacity that an empty queue keeps after an outage made it grow.
const MIN_CAPACITY: usize = 64;

/// A queued batch.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its position in the order of publishes, once it was started.
    number: u64,
    batch: Arc<Batch>,
    /// None for a stored batch: its ticket is already resolved.
    ticket: Option<Ticket>,
    /// Its number in the spool, if it is stored.
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

    /// Offers a batch to the storage. Returns the entry if the storage has no room.
    pub(crate) fn offer_to(
        mut self,
        storage: &dyn Storage,
        encoding: &Arc<dyn Encoding>,
        bound: usize,
    ) -> Option<Self> {
        let accepted = storage.offer(&self.batch, encoding, &mut self.ticket, bound);
        (!accepted).then_some(self)
    }

    /// The batch, and its ticket if it has one.
    pub(crate) fn into_parts(self) -> (Arc<Batch>, Option<Ticket>) {
        (self.batch, self.ticket)
    }

    /// Resolves the ticket as delivered.
    pub(crate) fn confirm(self) {
        if let Some(ticket) = self.ticket {
            ticket.confirm();
        }
    }
}

#[derive(Debug)]
struct InFlight {
    entry: Entry,
    /// The epoch in which the publish started.
    epoch: u64,
}

#[derive(Debug)]
pub(crate) struct Queue {
    bound: usize,
    /// Batches to retry, in the order of their first publish. They precede all others.
    returned: VecDeque<Entry>,
    /// Batches that were never published, in the order of submission.
    waiting: VecDeque<Entry>,
    waiting_samples: usize,
    in_flight: Vec<InFlight>,
    in_flight_samples: usize,
    /// Entries that the spool holds, too.
    stored_batches: usize,
    stored_samples: usize,
    next_number: u64,
}

impl Queue {
    /// Creates a queue for at most `bound` samples, in-flight ones included.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bound,
            returned: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_samples: 0,
            in_flight: Vec::new(),
            in_flight_samples: 0,
            stored_batches: 0,
            stored_samples: 0,
            next_number: 0,
        }
    }

    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// Changes the limit. Batches beyond a smaller limit stay: a reload loses nothing.
    pub(crate) fn set_bound(&mut self, bound: usize) {
        self.bound = bound;
    }

    /// The number of samples, including those that the spool holds, too.
    pub(crate) fn samples(&self) -> usize {
        self.waiting_samples + self.in_flight_samples
    }

    /// The number of batches that only the queue holds.
    pub(crate) fn own_batches(&self) -> usize {
        let all = self.returned.len() + self.waiting.len() + self.in_flight.len();
        all.saturating_sub(self.stored_batches)
    }

    /// The number of samples that only the queue holds.
    pub(crate) fn own_samples(&self) -> usize {
        self.samples().saturating_sub(self.stored_samples)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.waiting.is_empty() && self.in_flight.is_empty()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The number of in-flight batches that started in `epoch`.
    pub(crate) fn in_flight_since(&self, epoch: u64) -> usize {
        self.in_flight
            .iter()
            .filter(|flight| flight.epoch == epoch)
            .count()
    }

    /// The next batch that was never published.
    pub(crate) fn first_waiting(&self) -> Option<&Arc<Batch>> {
        self.waiting.front().map(Entry::batch)
    }

    /// All waiting batches, including those to retry.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Arc<Batch>> {
        self.returned.iter().chain(&self.waiting).map(Entry::batch)
    }

    /// The time at which the oldest batch was queued.
    pub(crate) fn oldest_since(&self) -> Option<Instant> {
        let in_flight = self.in_flight.iter().map(|flight| flight.entry.since);
        let waiting = self.waiting.front().into_iter().chain(&self.returned);
        in_flight.chain(waiting.map(|entry| entry.since)).min()
    }

    /// Whether `samples` more fit. An empty queue accepts a batch of any size.
    pub(crate) fn fits(&self, samples: usize) -> bool {
        self.is_empty() || self.samples().saturating_add(samples) <= self.bound
    }

    /// Whether a quarter is free. Waiting submitters are woken only then, rather than for every batch that leaves a full queue.
    pub(crate) fn has_eased(&self) -> bool {
        self.samples() <= self.bound - self.bound / 4
    }

    /// Appends a batch, even beyond the limit.
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

    /// Removes the oldest waiting batches until `samples` more fit. Batches that are in the spool, too, stay. Returns `None` and
    /// removes nothing if in-flight batches occupy too much.
    pub(crate) fn make_room(&mut self, samples: usize) -> Option<Vec<Entry>> {
        let reachable =
            self.in_flight.is_empty() || self.in_flight_samples.saturating_add(samples) <= self.bound;
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

    /// Removes the oldest batch that was never published.
    pub(crate) fn evict(&mut self) -> Option<Entry> {
        let entry = self.waiting.pop_front()?;
        self.waiting_samples -= entry.samples();
        Some(entry)
    }

    /// Undoes [`Queue::evict`].
    pub(crate) fn undo_evict(&mut self, entry: Entry) {
        self.waiting_samples += entry.samples();
        self.waiting.push_front(entry);
    }

    /// Starts the oldest batch to retry.
    pub(crate) fn take_returned(&mut self, epoch: u64) -> Option<(u64, Arc<Batch>)> {
        let entry = self.returned.pop_front()?;
        self.waiting_samples -= entry.samples();
        Some(self.start(entry, epoch))
    }

    /// Starts the oldest waiting batch.
    pub(crate) fn take(&mut self, epoch: u64) -> Option<(u64, Arc<Batch>)> {
        if let Some(started) = self.take_returned(epoch) {
            return Some(started);
        }
        let mut entry = self.waiting.pop_front()?;
        if self.waiting.is_empty() && self.waiting.capacity() > MIN_CAPACITY {
            self.waiting.shrink_to(MIN_CAPACITY);
        }
        self.waiting_samples -= entry.samples();
        entry.number = self.number();
        Some(self.start(entry, epoch))
    }

    /// Starts a batch from the spool: a stored one with its number there, or an unstored one with its ticket.
    pub(crate) fn start_stored(
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
        self.start(entry, epoch)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn start(&mut self, entry: Entry, epoch: u64) -> (u64, Arc<Batch>) {
        self.in_flight_samples += entry.samples();
        let started = (entry.number, entry.batch.clone());
        self.in_flight.push(InFlight { entry, epoch });
        started
    }

    /// Updates the counts for an entry that does not return to the queue.
    pub(crate) fn forget(&mut self, entry: &Entry) {
        if entry.stored.is_some() {
            self.stored_batches -= 1;
            self.stored_samples -= entry.samples();
        }
    }

    /// Removes an in-flight batch; returns it with the epoch in which it started.
    pub(crate) fn take_in_flight(&mut self, number: u64) -> Option<(Entry, u64)> {
        let place = self
            .in_flight
            .iter()
            .position(|flight| flight.entry.number == number)?;
        let InFlight { entry, epoch } = self.in_flight.swap_remove(place);
        self.in_flight_samples -= entry.samples();
        Some((entry, epoch))
    }

    /// Queues a batch for a retry, in the original order.
    pub(crate) fn put_back(&mut self, entry: Entry) {
        self.waiting_samples += entry.samples();
        let place = self.returned.partition_point(|other| other.number < entry.number);
        self.returned.insert(place, entry);
    }

    /// Queues all in-flight batches for a retry.
    pub(crate) fn put_all_back(&mut self) {
        for flight in std::mem::take(&mut self.in_flight) {
            self.in_flight_samples -= flight.entry.samples();
            self.put_back(flight.entry);
        }
    }

    /// Removes the stored batches that are not in flight; returns their numbers in the spool.
    pub(crate) fn return_unfinished(&mut self) -> Vec<u64> {
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

    /// Empties the queue; returns the batches that only the queue queued, oldest first.
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
