//! The side of the publisher's task: which batch sets out next, and what came of those that have.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Batch, Encoding, Run};
use nephoscope_plugin::{Accepted, Publisher, RunEnd};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Effects, Machine, Mode};
use crate::events::{Event, Fault};
use crate::lane::storage::Storage;
use crate::options::BACKLOG_SHARE;
use crate::queue::Entry;
use crate::spool::{Incoming, Next, Order, Outgoing};

/// What the publisher's task does next.
pub(crate) enum Step {
    /// Publish this batch.
    Publish(Departure),
    /// Wait until something happens, or until then.
    Wait(Option<Instant>),
    /// Tell the publisher that a run has ended.
    Tell(Told),
    /// Close these publishers, which have nothing under way.
    Close(Vec<Arc<dyn Publisher>>),
    /// Drop what is under way and close this publisher: the next is in place. Say so when it is closed.
    Swap(Arc<dyn Publisher>, oneshot::Sender<()>),
    /// Drop what is under way, close these publishers, and end.
    End(Vec<Arc<dyn Publisher>>),
}

/// A batch on its way.
pub(crate) struct Departure {
    pub(crate) number: u64,
    pub(crate) batch: Arc<Batch>,
    pub(crate) publisher: Arc<dyn Publisher>,
}

/// The end of a run, on its way.
pub(crate) struct Told {
    pub(crate) run: Arc<Run>,
    pub(crate) end: Arc<RunEnd>,
    pub(crate) publisher: Arc<dyn Publisher>,
}

/// What came of a publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken(Accepted),
    Rejected(String),
    Retry {
        fault: Fault,
        error: String,
        /// The other side asks for at least this pause.
        not_before: Option<Duration>,
    },
}

impl Machine {
    /// What the publisher's task does next.
    pub(crate) fn step(&mut self, storage: Option<&dyn Storage>, now: Instant) -> Step {
        self.hungry = false;
        let mut wake_at = None;
        match self.mode {
            Mode::Open => {}
            Mode::Draining(draining) => {
                let all_gone = self.queue.is_empty() && self.waiters == 0 && !self.runs.are_open();
                if now >= draining.deliver_until || all_gone || self.rather_stores(storage) {
                    return Step::End(self.dismiss());
                }
                wake_at = Some(draining.deliver_until);
            }
            Mode::Stopped => return Step::End(self.dismiss()),
        }
        if !self.unused.is_empty() {
            return Step::Close(std::mem::take(&mut self.unused));
        }
        if let Some(until) = self.replacement.as_ref().map(|replacement| replacement.until)
            && (self.queue.flying() > 0 || self.runs.telling)
            && now < until
        {
            return Step::Wait(earliest(wake_at, Some(until)));
        }
        if let Some(replacement) = self.replacement.take() {
            self.queue.put_all_back();
            self.health.start_anew(now);
            let leaving = std::mem::replace(&mut self.served, replacement.served);
            if let Some(storage) = storage {
                let queue = &mut self.queue;
                storage.serve(self.served.in_flight, &self.served.takes, &mut || {
                    queue.give_back()
                });
            }
            if self.served.follows_runs {
                self.runs.hold_again(self.queue.waiting());
            } else {
                self.runs.clear();
            }
            return Step::Swap(leaving.publisher, replacement.done);
        }
        if let Some((run, end)) = self.runs.take_due() {
            return Step::Tell(Told {
                run,
                end,
                publisher: self.served.publisher.clone(),
            });
        }
        let resume_at = self.health.resume_at(now);
        let epoch = self.health.epoch();
        // While it fails, one publish at a time finds out whether it still does.
        let may_fly = self.queue.flying() < self.served.in_flight
            && !self.runs.telling
            && (self.health.failing().is_none() || self.queue.flying_since(epoch) == 0);
        if may_fly && resume_at.is_none() {
            if let Some((number, batch)) = self.next(storage, epoch, now) {
                return Step::Publish(Departure {
                    number,
                    batch,
                    publisher: self.served.publisher.clone(),
                });
            }
            self.hungry = true;
        } else if may_fly {
            // Also when nothing waits here: something may in the storage.
            wake_at = earliest(wake_at, resume_at);
        }
        Step::Wait(wake_at)
    }

    /// The batch that will set out when there is room, if it has yet to be encoded for its publisher, and the encoding.
    pub(crate) fn unprepared(&self) -> Option<(Arc<Batch>, Arc<dyn Encoding>)> {
        let encoding = self.served.encoding.as_ref()?;
        let batch = self.queue.first_waiting()?;
        (!batch.is_encoded(&**encoding)).then(|| (batch.clone(), encoding.clone()))
    }

    /// The publisher was told of the end of a run; `heard` is false where it panicked or did not return in time.
    pub(crate) fn told(&mut self, heard: bool) -> Effects {
        self.runs.telling = false;
        if heard { Effects::default() } else { self.deaf() }
    }

    /// The publisher panicked, or did not return in time, when it was told of a run: this is said once.
    pub(crate) fn deaf(&mut self) -> Effects {
        let mut effects = Effects::default();
        if !std::mem::replace(&mut self.told_deaf, true) {
            effects.events.push(Event::Deaf);
        }
        effects
    }

    /// Counts the duration of one delivery attempt.
    pub(crate) fn count_attempt(&mut self, duration: Duration) {
        self.publish_durations.add(duration.as_secs_f64());
    }

    /// What came of a publish.
    pub(crate) fn record(
        &mut self,
        number: u64,
        answer: Answer,
        storage: Option<&dyn Storage>,
        now: Instant,
    ) -> Effects {
        let mut effects = Effects::default();
        // Nobody there: the queue was taken away from a publisher that did not let go.
        let Some((entry, epoch)) = self.queue.land(number) else {
            return effects;
        };
        let was_failing = self.health.failing().is_some();
        match answer {
            Answer::Taken(accepted) if accepted.rejected() == 0 || accepted.rejected() < entry.samples() => {
                self.taken(entry, &accepted, epoch, storage, now, &mut effects);
            }
            Answer::Taken(accepted) => {
                let reason = accepted.reason().to_owned();
                self.rejected(entry, reason, epoch, storage, now, &mut effects);
            }
            Answer::Rejected(reason) => self.rejected(entry, reason, epoch, storage, now, &mut effects),
            Answer::Retry {
                fault,
                error,
                not_before,
            } => {
                self.counts.retry(fault);
                self.queue.put_back(entry);
                let last_chance = matches!(self.mode, Mode::Draining(_));
                self.health
                    .fail(epoch, error, not_before, last_chance, now, &mut effects.events);
            }
        }
        if let Some(storage) = storage
            && was_failing
            && self.health.failing().is_none()
        {
            storage.turn_over();
        }
        effects
    }

    /// The other side has taken a batch, or a part of it. Which samples it has rejected is not known, so that none are set aside.
    fn taken(
        &mut self,
        entry: Entry,
        accepted: &Accepted,
        epoch: u64,
        storage: Option<&dyn Storage>,
        now: Instant,
        effects: &mut Effects,
    ) {
        let (samples, rejected) = (entry.samples(), accepted.rejected());
        self.settle(&entry);
        if let (Some(storage), Some(number)) = (storage, entry.stored()) {
            storage.done(number, samples);
        }
        self.counts.deliver(samples - rejected);
        let emptied = self.queue.is_empty();
        self.health.answer(epoch, emptied, now, &mut effects.events);
        if rejected == 0 {
            self.health.deliver(now, &mut effects.events);
            effects.delivered = Some(entry);
        } else {
            self.counts.refuse_part(rejected);
            let reason = accepted.reason().to_owned();
            self.health.refuse(rejected, reason, now, &mut effects.events);
            effects.lost.push(entry);
        }
        effects.room = self.room_if_eased();
    }

    /// The other side will never take a batch.
    fn rejected(
        &mut self,
        entry: Entry,
        reason: String,
        epoch: u64,
        storage: Option<&dyn Storage>,
        now: Instant,
        effects: &mut Effects,
    ) {
        let samples = entry.samples();
        self.settle(&entry);
        if let Some(storage) = storage {
            let encoding = self.served.encoding.clone();
            storage.refuse(entry.stored(), entry.batch().clone(), encoding, reason.clone());
        }
        self.counts.refuse(samples);
        let emptied = self.queue.is_empty();
        self.health.answer(epoch, emptied, now, &mut effects.events);
        self.health.refuse(samples, reason, now, &mut effects.events);
        effects.lost.push(entry);
        effects.room = self.room_if_eased();
    }

    /// A batch that has landed stays away.
    fn settle(&mut self, entry: &Entry) {
        self.queue.forget(entry);
        self.runs.release(entry.batch());
    }

    /// Whether an emptying for good had better store what is left than wait for the publisher.
    fn rather_stores(&self, storage: Option<&dyn Storage>) -> bool {
        let Some((storage, _)) = self.usable(storage).filter(|_| self.waiters == 0) else {
            return false;
        };
        let stuck = self.health.failing().is_some() || self.health.blocked().is_some();
        let behind = storage.order() == Order::Fifo && storage.has_backlog();
        storage.takes() && (stuck || behind)
    }

    /// The batch that sets out next.
    fn next(&mut self, storage: Option<&dyn Storage>, epoch: u64, now: Instant) -> Option<(u64, Arc<Batch>)> {
        if let Some(taken) = self.queue.take_returned(epoch) {
            return Some(taken);
        }
        let Some((storage, _)) = self.usable(storage) else {
            return self.queue.take(epoch);
        };
        if matches!(self.mode, Mode::Draining(_)) {
            // What is stored stays stored.
            return self.queue.take(epoch);
        }
        let fifo = storage.order() == Order::Fifo;
        let turn = self.departures % BACKLOG_SHARE == BACKLOG_SHARE - 1;
        self.departures = self.departures.wrapping_add(1);
        self.backlog_first &= storage.has_backlog();
        if !fifo
            && !turn
            && !self.backlog_first
            && let Some(taken) = self.queue.take(epoch)
        {
            return Some(taken);
        }
        match storage.next() {
            Next::Stored(Outgoing { number, batch }) => {
                Some(self.queue.depart(batch, None, Some(number), epoch, now))
            }
            Next::NotStored(Incoming { batch, ticket, .. }) => {
                if self.served.follows_runs {
                    self.runs.hold(&batch);
                }
                Some(self.queue.depart(batch, Some(ticket), None, epoch, now))
            }
            // In order, nothing passes by what is there.
            Next::Later if fifo || self.backlog_first => None,
            Next::Later | Next::Nothing => self.queue.take(epoch),
        }
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
