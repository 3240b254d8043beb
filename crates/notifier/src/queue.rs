//! What is held for one publisher: batches that wait, in order, and batches that are under way.
//!
//! Plain bookkeeping under its owner's lock: no clock, no waiting, no counters.

use std::collections::VecDeque;
use std::sync::Arc;

use nephoscope_model::Batch;
use tokio::time::Instant;

use crate::receipt::Ticket;

/// An empty queue gives its memory back when an outage has made it grow beyond so many places.
const KEPT_PLACES: usize = 64;

/// A batch that is held for a publisher.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its place in the order.
    number: u64,
    batch: Arc<Batch>,
    ticket: Ticket,
    since: Instant,
}

impl Entry {
    pub(crate) fn samples(&self) -> usize {
        self.batch.samples().len()
    }

    /// The publisher has delivered it.
    pub(crate) fn confirm(self) {
        self.ticket.confirm();
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
    waiting: VecDeque<Entry>,
    waiting_samples: usize,
    flying: Vec<Flight>,
    flying_samples: usize,
    next_number: u64,
}

impl Queue {
    /// An empty queue that holds at most `bound` samples, those under way included.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bound,
            waiting: VecDeque::new(),
            waiting_samples: 0,
            flying: Vec::new(),
            flying_samples: 0,
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

    pub(crate) fn samples(&self) -> usize {
        self.waiting_samples + self.flying_samples
    }

    pub(crate) fn batches(&self) -> usize {
        self.waiting.len() + self.flying.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.flying.is_empty()
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn flying(&self) -> usize {
        self.flying.len()
    }

    /// How many of those under way set out in `epoch`.
    pub(crate) fn flying_since(&self, epoch: u64) -> usize {
        self.flying.iter().filter(|flight| flight.epoch == epoch).count()
    }

    /// When the oldest batch came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let flying = self.flying.iter().map(|flight| flight.entry.since);
        flying.chain(self.waiting.front().map(|entry| entry.since)).min()
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
        self.waiting_samples += batch.samples().len();
        self.waiting.push_back(Entry {
            number: self.next_number,
            batch,
            ticket,
            since: now,
        });
        self.next_number += 1;
    }

    /// Takes the oldest waiting batches out until so many samples fit. Where that cannot be reached, since too
    /// much is under way, nothing is taken out: `None`.
    pub(crate) fn make_room(&mut self, samples: usize) -> Option<Vec<Entry>> {
        let reachable = self.flying.is_empty() || self.flying_samples.saturating_add(samples) <= self.bound;
        if !reachable {
            return None;
        }
        let mut removed = Vec::new();
        while !self.fits(samples) {
            let Some(entry) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_samples -= entry.samples();
            removed.push(entry);
        }
        Some(removed)
    }

    /// The oldest waiting batch sets out.
    pub(crate) fn take(&mut self, epoch: u64) -> Option<(u64, Arc<Batch>)> {
        let entry = self.waiting.pop_front()?;
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_PLACES {
            self.waiting.shrink_to(KEPT_PLACES);
        }
        self.waiting_samples -= entry.samples();
        self.flying_samples += entry.samples();
        let taken = (entry.number, entry.batch.clone());
        self.flying.push(Flight { entry, epoch });
        Some(taken)
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
        let place = self.waiting.partition_point(|other| other.number < entry.number);
        self.waiting.insert(place, entry);
    }

    /// Everything that was under way waits again.
    pub(crate) fn put_all_back(&mut self) {
        for flight in std::mem::take(&mut self.flying) {
            self.flying_samples -= flight.entry.samples();
            self.put_back(flight.entry);
        }
    }

    /// Takes everything out, oldest first.
    pub(crate) fn empty(&mut self) -> VecDeque<Entry> {
        self.put_all_back();
        self.waiting_samples = 0;
        std::mem::take(&mut self.waiting)
    }
}
