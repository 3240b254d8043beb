//! The way of samples to one publisher: its queue, its state, and who may do what with them when.
//!
//! Cycles hand batches over from one side ([`Lane::offer`], [`Offered::wait`]), the publisher's task takes them from
//! the other ([`Lane::step`], [`Lane::record`]). Both hold the lock for bookkeeping only: log lines are written and
//! receipts resolved after it is released.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nephoscope_model::{Batch, Encoding};
use nephoscope_plugin::{Accepted, Publisher};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::events::{Counters, Event, Fault};
use crate::health::Health;
use crate::options::{
    BACKLOG_SHARE, CLOSE_TIMEOUT, MAX_IN_FLIGHT, NotifierOptions, PublisherSetup, STORE_TIME,
};
use crate::queue::{Entry, Queue};
use crate::receipt::Ticket;
use crate::spool::{Incoming, Next, Order, Outgoing, Spool, SpoolMode};
use crate::status::{PublisherEnd, PublisherState, PublisherStatus};

pub(crate) struct Lane {
    name: Arc<str>,
    options: Arc<NotifierOptions>,
    counters: Counters,
    spool: Option<Spool>,
    state: Mutex<State>,
    /// Wakes the publisher's task.
    work: Notify,
    /// Wakes those who wait for room in the queue, first come first served.
    room: Notify,
    /// Cancelled when the publisher has stopped.
    stopped: CancellationToken,
}

struct State {
    queue: Queue,
    health: Health,
    publisher: Arc<dyn Publisher>,
    url_shown: String,
    in_flight: usize,
    /// The encoding that a spool stores for the publisher, if it can have a spool.
    encoding: Option<Arc<dyn Encoding>>,
    /// Departures, for the share of the backlog.
    departures: u32,
    /// Whether the backlog goes before what is fresh until there is none, since somebody asked for that.
    backlog_first: bool,
    mode: Mode,
    /// Hand-overs that wait for room.
    waiters: usize,
    /// Whether the publisher's task sleeps and a further batch is what it wants.
    hungry: bool,
    replacement: Option<Replacement>,
    /// Publishers that came and went before they delivered anything; the task closes them.
    unused: Vec<Arc<dyn Publisher>>,
    /// Whether it was said that batches come after the stop.
    told_late: bool,
    end: Option<PublisherEnd>,
}

enum Mode {
    Open,
    /// Being emptied for good, until then.
    Draining(Draining),
    Stopped,
}

#[derive(Clone, Copy)]
struct Draining {
    /// What is left is dropped then.
    until: Instant,
    /// What is left is stored then.
    deliver_until: Instant,
}

/// A publisher that takes the place of the present one.
struct Replacement {
    publisher: Arc<dyn Publisher>,
    url_shown: String,
    in_flight: usize,
    encoding: Option<Arc<dyn Encoding>>,
    /// What is under way may finish until then.
    until: Instant,
    done: oneshot::Sender<()>,
}

/// What the publisher's task does next.
pub(crate) enum Step {
    /// Publish this batch.
    Publish(Departure),
    /// Wait until something happens, or until then.
    Wait(Option<Instant>),
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

/// What came of a publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken(Accepted),
    Refused(String),
    Retry(Fault, String),
}

/// A batch that found no room yet.
#[must_use = "a batch that is not waited for is lost"]
pub(crate) struct Offered {
    lane: Arc<Lane>,
    batch: Arc<Batch>,
    /// Taken when the batch is queued or lost.
    ticket: Option<Ticket>,
    began: Instant,
}

/// What is left to do after the lock is released.
#[derive(Default)]
struct Aftermath {
    events: Vec<Event>,
    delivered: Option<Entry>,
    lost: Vec<Entry>,
    lost_tickets: Vec<Ticket>,
}

impl Aftermath {
    fn settle(self, name: &str) {
        for event in &self.events {
            event.emit(name);
        }
        if let Some(entry) = self.delivered {
            entry.confirm();
        }
        drop((self.lost, self.lost_tickets));
    }
}

impl Lane {
    pub(crate) fn new(setup: PublisherSetup, options: Arc<NotifierOptions>) -> Arc<Self> {
        let now = Instant::now();
        let encoding = encoding(&*setup.publisher);
        if setup.spool.is_some() && encoding.is_none() {
            Event::NoForm.emit(&setup.name);
        }
        let in_flight = in_flight(&*setup.publisher);
        let lane = Arc::new(Self {
            name: setup.name,
            counters: Counters::default(),
            spool: setup.spool,
            state: Mutex::new(State {
                queue: Queue::new(setup.queue),
                health: Health::new(&options, now),
                in_flight,
                encoding: encoding.clone(),
                departures: 0,
                backlog_first: false,
                publisher: setup.publisher,
                url_shown: setup.url_shown,
                mode: Mode::Open,
                waiters: 0,
                hungry: false,
                replacement: None,
                unused: Vec::new(),
                told_late: false,
                end: None,
            }),
            options,
            work: Notify::new(),
            room: Notify::new(),
            stopped: CancellationToken::new(),
        });
        if let Some(spool) = &lane.spool
            && encoding.is_some()
        {
            let weak = Arc::downgrade(&lane);
            spool.listen(move || {
                if let Some(lane) = weak.upgrade() {
                    lane.spool_changed();
                }
            });
            spool.want(in_flight);
        }
        lane
    }

    pub(crate) fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// Whether this is its spool.
    pub(crate) fn has_spool(&self, other: Option<&Spool>) -> bool {
        match (&self.spool, other) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        }
    }

    /// The spool, if the publisher can have one.
    fn usable_spool(&self, state: &State) -> Option<(&Spool, Arc<dyn Encoding>)> {
        Some((self.spool.as_ref()?, state.encoding.clone()?))
    }

    /// The spool has stored something, or has something to deliver, or takes nothing any more.
    fn spool_changed(&self) {
        {
            let mut state = self.state.lock();
            let takes = self.spool.as_ref().is_some_and(Spool::takes);
            if takes {
                state.health.progress(Instant::now());
            }
            if state.waiters > 0 {
                self.room.notify_one();
            }
        }
        self.work.notify_one();
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn options(&self) -> &NotifierOptions {
        &self.options
    }

    pub(crate) fn publisher(&self) -> Arc<dyn Publisher> {
        let state = self.state.lock();
        match &state.replacement {
            Some(replacement) => replacement.publisher.clone(),
            None => state.publisher.clone(),
        }
    }

    // From the side of the cycles.

    /// Hands a batch over, without waiting. `Some` when there is no room, neither in memory nor in the spool, and the
    /// publisher is not known to be blocked: then the batch waits for room.
    pub(crate) fn offer(self: &Arc<Self>, batch: &Arc<Batch>, ticket: Ticket) -> Option<Offered> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut ticket = Some(ticket);
        if self.must_wait(state, batch, &mut ticket) {
            state.waiters += 1;
            return Some(Offered {
                lane: self.clone(),
                batch: batch.clone(),
                ticket,
                began: Instant::now(),
            });
        }
        let aftermath = ticket.map(|ticket| self.admit(state, batch, ticket));
        drop(guard);
        if let Some(aftermath) = aftermath {
            aftermath.settle(&self.name);
        }
        None
    }

    /// Whether a batch that is handed over now must wait for room. Where there is a spool, it is placed if possible:
    /// then its ticket is gone.
    fn must_wait(&self, state: &mut State, batch: &Arc<Batch>, ticket: &mut Option<Ticket>) -> bool {
        if matches!(state.mode, Mode::Stopped) {
            return false;
        }
        if let Some((spool, encoding)) = self.usable_spool(state)
            && spool.takes()
            && !self.stands_still(state)
        {
            return state.waiters > 0 || !self.place(state, spool, &encoding, batch, ticket);
        }
        state.health.blocked().is_none() && (state.waiters > 0 || !state.queue.fits(batch.len()))
    }

    /// Whether neither the publisher nor the spool has taken anything for as long as a hand-over waits.
    fn stands_still(&self, state: &State) -> bool {
        let since = state.health.last_progress();
        state.health.blocked().is_some() && Instant::now().duration_since(since) >= self.options.patience
    }

    /// Puts a batch into memory or on its way into the spool, in order; whether there was room.
    fn place(
        &self,
        state: &mut State,
        spool: &Spool,
        encoding: &Arc<dyn Encoding>,
        batch: &Arc<Batch>,
        ticket: &mut Option<Ticket>,
    ) -> bool {
        let always = spool.options().mode == SpoolMode::Always;
        let bound = state.queue.bound();
        // Batches that came before this one and have no room here, or must all be stored.
        while (always || !state.queue.fits(batch.len()))
            && let Some(entry) = state.queue.evict()
        {
            if !self.hand_to_spool(state, spool, encoding, entry) {
                return false;
            }
        }
        let placed = if !always && state.queue.fits(batch.len()) {
            if let Some(ticket) = ticket.take() {
                state.queue.push(batch.clone(), ticket, Instant::now());
            }
            true
        } else {
            spool.offer(batch, encoding, ticket, bound)
        };
        if placed {
            self.counters.submitted(batch.len());
            if std::mem::take(&mut state.hungry) {
                self.work.notify_one();
            }
        }
        placed
    }

    fn hand_to_spool(
        &self,
        state: &mut State,
        spool: &Spool,
        encoding: &Arc<dyn Encoding>,
        entry: Entry,
    ) -> bool {
        let bound = state.queue.bound();
        match entry.offer_to(spool, encoding, bound) {
            None => true,
            Some(entry) => {
                state.queue.undo_evict(entry);
                false
            }
        }
    }

    /// Queues the batch, and drops the oldest ones where it does not fit.
    fn admit(&self, state: &mut State, batch: &Arc<Batch>, ticket: Ticket) -> Aftermath {
        let now = Instant::now();
        let samples = batch.len();
        let mut aftermath = Aftermath::default();
        self.counters.submitted(samples);
        if matches!(state.mode, Mode::Stopped) {
            self.counters.dropped(samples);
            if !std::mem::replace(&mut state.told_late, true) {
                aftermath.events.push(Event::CameTooLate);
            }
            aftermath.lost_tickets.push(ticket);
            return aftermath;
        }
        let bound = state.queue.bound();
        match state.queue.make_room(samples) {
            Some(removed) => {
                for entry in &removed {
                    self.counters.dropped(entry.samples());
                    state
                        .health
                        .lose(entry.samples(), bound, now, &mut aftermath.events);
                }
                aftermath.lost = removed;
                state.queue.push(batch.clone(), ticket, now);
                if std::mem::take(&mut state.hungry) {
                    self.work.notify_one();
                }
            }
            None => {
                self.counters.dropped(samples);
                state.health.lose(samples, bound, now, &mut aftermath.events);
                aftermath.lost_tickets.push(ticket);
            }
        }
        aftermath
    }

    fn wake_a_waiter(&self, state: &State) {
        if state.waiters > 0 && state.queue.has_eased() {
            self.room.notify_one();
        }
    }

    // From the side of the publisher's task.

    /// Resolves when there may be another [`Step`].
    pub(crate) async fn work(&self) {
        self.work.notified().await;
    }

    /// What the publisher's task does next.
    pub(crate) fn step(&self) -> Step {
        let now = Instant::now();
        let mut state = self.state.lock();
        let state = &mut *state;
        state.hungry = false;
        let mut wake_at = None;
        match state.mode {
            Mode::Open => {}
            Mode::Draining(draining) => {
                let all_gone = state.queue.is_empty() && state.waiters == 0;
                if now >= draining.deliver_until || all_gone || self.rather_stores(state) {
                    return Step::End(state.dismiss());
                }
                wake_at = Some(draining.deliver_until);
            }
            Mode::Stopped => return Step::End(state.dismiss()),
        }
        if !state.unused.is_empty() {
            return Step::Close(std::mem::take(&mut state.unused));
        }
        if let Some(until) = state.replacement.as_ref().map(|replacement| replacement.until)
            && state.queue.flying() > 0
            && now < until
        {
            return Step::Wait(earliest(wake_at, Some(until)));
        }
        if let Some(replacement) = state.replacement.take() {
            state.queue.put_all_back();
            state.health.start_anew(now);
            state.in_flight = replacement.in_flight;
            state.encoding = replacement.encoding;
            if let Some(spool) = &self.spool {
                spool.want(state.in_flight);
            }
            state.url_shown = replacement.url_shown;
            let leaving = std::mem::replace(&mut state.publisher, replacement.publisher);
            return Step::Swap(leaving, replacement.done);
        }
        let resume_at = state.health.resume_at(now);
        let epoch = state.health.epoch();
        // While it fails, one publish at a time finds out whether it still does.
        let may_fly = state.queue.flying() < state.in_flight
            && (state.health.failing().is_none() || state.queue.flying_since(epoch) == 0);
        if may_fly && resume_at.is_none() {
            if let Some((number, batch)) = self.next(state, epoch, now) {
                return Step::Publish(Departure {
                    number,
                    batch,
                    publisher: state.publisher.clone(),
                });
            }
            state.hungry = true;
        } else if may_fly {
            // Also when nothing waits here: something may in the spool.
            wake_at = earliest(wake_at, resume_at);
        }
        Step::Wait(wake_at)
    }

    /// The batch that will set out when there is room, if it has yet to be encoded for its publisher, and the encoding.
    pub(crate) fn unprepared(&self) -> Option<(Arc<Batch>, Arc<dyn Encoding>)> {
        let state = self.state.lock();
        let encoding = state.encoding.as_ref()?;
        let batch = state.queue.first_waiting()?;
        (!batch.is_encoded(&**encoding)).then(|| (batch.clone(), encoding.clone()))
    }

    /// Whether an emptying for good had better store what is left than wait for the publisher.
    fn rather_stores(&self, state: &State) -> bool {
        let Some((spool, _)) = self.usable_spool(state).filter(|_| state.waiters == 0) else {
            return false;
        };
        let stuck = state.health.failing().is_some() || state.health.blocked().is_some();
        let behind = spool.options().order == Order::Fifo && spool.has_backlog();
        spool.takes() && (stuck || behind)
    }

    /// The batch that sets out next.
    fn next(&self, state: &mut State, epoch: u64, now: Instant) -> Option<(u64, Arc<Batch>)> {
        if let Some(taken) = state.queue.take_returned(epoch) {
            return Some(taken);
        }
        let Some((spool, encoding)) = self.usable_spool(state) else {
            return state.queue.take(epoch);
        };
        if matches!(state.mode, Mode::Draining(_)) {
            // What is stored stays stored.
            return state.queue.take(epoch);
        }
        let fifo = spool.options().order == Order::Fifo;
        let turn = state.departures % BACKLOG_SHARE == BACKLOG_SHARE - 1;
        state.departures = state.departures.wrapping_add(1);
        state.backlog_first &= spool.has_backlog();
        if !fifo
            && !turn
            && !state.backlog_first
            && let Some(taken) = state.queue.take(epoch)
        {
            return Some(taken);
        }
        loop {
            match spool.next() {
                Next::Stored(Outgoing { number, batch }) if batch.is_encoded(&*encoding) => {
                    return Some(state.queue.depart(batch, None, Some(number), epoch, now));
                }
                Next::Stored(Outgoing { number, batch }) => {
                    let reason = match batch.encoded(&*encoding) {
                        Err(error) => error.to_string(),
                        Ok(_) => String::new(),
                    };
                    self.counters.refused(batch.len());
                    spool.refuse(Some(number), batch, None, reason);
                }
                Next::NotStored(Incoming { batch, ticket, .. }) => {
                    return Some(state.queue.depart(batch, Some(ticket), None, epoch, now));
                }
                // In order, nothing passes by what is there.
                Next::Later if fifo || state.backlog_first => return None,
                Next::Later | Next::Nothing => return state.queue.take(epoch),
            }
        }
    }

    /// Notes what came of a publish.
    pub(crate) fn record(&self, number: u64, answer: Answer) {
        let now = Instant::now();
        let mut aftermath = Aftermath::default();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            // Nobody there: the queue was taken away from a publisher that did not let go.
            let Some((entry, epoch)) = state.queue.land(number) else {
                return;
            };
            let samples = entry.samples();
            let was_failing = state.health.failing().is_some();
            if !matches!(answer, Answer::Retry(..)) {
                state.queue.forget(&entry);
            }
            match answer {
                Answer::Taken(accepted) => {
                    if let (Some(spool), Some(number)) = (&self.spool, entry.stored()) {
                        spool.done(number, samples);
                    }
                    let rejected = accepted.rejected().min(samples);
                    self.counters.delivered(samples - rejected);
                    if rejected > 0 {
                        self.counters.refused(rejected);
                        state.health.refuse(
                            rejected,
                            accepted.reason().to_owned(),
                            now,
                            &mut aftermath.events,
                        );
                    }
                    let emptied = state.queue.is_empty();
                    state.health.answer(epoch, emptied, now, &mut aftermath.events);
                    state.health.deliver(now, &mut aftermath.events);
                    aftermath.delivered = Some(entry);
                    self.wake_a_waiter(state);
                }
                Answer::Refused(reason) => {
                    if let Some(spool) = &self.spool {
                        let encoding = state.encoding.clone();
                        spool.refuse(entry.stored(), entry.batch().clone(), encoding, reason.clone());
                    }
                    self.counters.refused(samples);
                    let emptied = state.queue.is_empty();
                    state.health.answer(epoch, emptied, now, &mut aftermath.events);
                    state.health.refuse(samples, reason, now, &mut aftermath.events);
                    aftermath.lost.push(entry);
                    self.wake_a_waiter(state);
                }
                Answer::Retry(fault, error) => {
                    self.counters.retry(fault);
                    state.queue.put_back(entry);
                    let last_chance = matches!(state.mode, Mode::Draining(_));
                    state
                        .health
                        .fail(epoch, error, last_chance, now, &mut aftermath.events);
                }
            }
            if let Some(spool) = &self.spool
                && was_failing
                && state.health.failing().is_none()
            {
                spool.turn_over();
            }
        }
        aftermath.settle(&self.name);
    }

    /// A publisher that was replaced is closed.
    pub(crate) fn swapped(&self, closed: bool) {
        let queued = self.state.lock().queue.samples();
        Event::Replaced { queued }.emit(&self.name);
        if !closed {
            Event::NotClosed.emit(&self.name);
        }
    }

    /// Stores what is left, where there is a spool, and closes that: until the deadline of the stop, and for a moment in
    /// any case. What is not stored by then is dropped by [`Lane::stop`].
    pub(crate) async fn put_away(&self) {
        let Some(spool) = &self.spool else { return };
        let deadline = {
            let mut state = self.state.lock();
            let state = &mut *state;
            if state.end.is_some() {
                return;
            }
            let until = match state.mode {
                Mode::Draining(draining) => draining.until,
                Mode::Open | Mode::Stopped => Instant::now(),
            };
            state.mode = Mode::Stopped;
            let mut rest = Vec::new();
            if let Some(encoding) = &state.encoding {
                for entry in state.queue.empty() {
                    if let (batch, Some(ticket)) = entry.into_parts() {
                        rest.push(Incoming {
                            batch,
                            encoding: encoding.clone(),
                            ticket,
                        });
                    }
                }
            }
            spool.close(rest);
            // Those who wait for room are told that there will be none.
            self.room.notify_waiters();
            until.max(Instant::now()) + CLOSE_TIMEOUT - CLOSE_TIMEOUT / 10
        };
        _ = timeout_at(deadline, spool.closed()).await;
    }

    /// Counts and drops whatever is left; nothing is taken any more.
    pub(crate) fn stop(&self) {
        let mut aftermath = Aftermath::default();
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            if state.end.is_some() {
                return;
            }
            state.mode = Mode::Stopped;
            let (mut samples, mut batches) = (0, 0);
            for entry in state.queue.empty() {
                self.counters.dropped(entry.samples());
                samples += entry.samples() as u64;
                batches += 1;
                aftermath.lost.push(entry);
            }
            if let Some(spool) = &self.spool {
                spool.close(Vec::new());
                for incoming in spool.take_back() {
                    self.counters.dropped(incoming.batch.len());
                    samples += incoming.batch.len() as u64;
                    batches += 1;
                    aftermath.lost_tickets.push(incoming.ticket);
                }
            }
            if batches > 0 {
                aftermath.events.push(Event::Abandoned { samples, batches });
            }
            state.health.finish(&mut aftermath.events);
            state.end = Some(PublisherEnd {
                name: self.name.clone(),
                dropped_samples: samples,
                dropped_batches: batches,
                closed: false,
            });
            self.room.notify_waiters();
        }
        aftermath.settle(&self.name);
    }

    /// The publisher's task is at its end.
    pub(crate) fn finish(&self, closed: bool) {
        if let Some(end) = &mut self.state.lock().end {
            end.closed = closed;
        }
        if !closed {
            Event::NotClosed.emit(&self.name);
        }
        self.stopped.cancel();
    }

    // From the side of the notifier.

    /// Empties the queue for good, at most until then. Of two deadlines the earlier counts.
    pub(crate) fn drain(&self, until: Instant) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let mut deliver_until = until;
        if self.usable_spool(&state).is_some() {
            let left = until.saturating_duration_since(now);
            deliver_until = until.checked_sub(STORE_TIME.min(left / 4)).unwrap_or(until);
        }
        let draining = Draining { until, deliver_until };
        state.mode = match state.mode {
            Mode::Open => Mode::Draining(draining),
            Mode::Draining(other) => Mode::Draining(Draining {
                until: other.until.min(until),
                deliver_until: other.deliver_until.min(deliver_until),
            }),
            Mode::Stopped => return,
        };
        state.health.resume(now);
        self.work.notify_one();
    }

    /// Delivers what the spool holds as soon as may be: the next retry need not wait, and what is fresh does.
    pub(crate) fn hurry(&self) {
        let mut state = self.state.lock();
        if let Mode::Open = state.mode {
            state.backlog_first = true;
            state.health.resume(Instant::now());
            self.work.notify_one();
        }
    }

    /// Resolves when the publisher has stopped and is closed.
    pub(crate) async fn stopped(&self) {
        self.stopped.cancelled().await;
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.is_cancelled()
    }

    /// How the publisher ended; [`Lane::stop`] must have been called.
    pub(crate) fn end(&self) -> Option<PublisherEnd> {
        self.state.lock().end.clone()
    }

    /// Takes over what a reload says. With another publisher: what resolves when it is in place.
    pub(crate) fn update(&self, setup: PublisherSetup) -> Option<oneshot::Receiver<()>> {
        let in_flight = in_flight(&*setup.publisher);
        let encoding = encoding(&*setup.publisher);
        let mut state = self.state.lock();
        let state = &mut *state;
        state.queue.set_bound(setup.queue);
        self.wake_a_waiter(state);
        if let Some(withdrawn) = state.replacement.take()
            && !Arc::ptr_eq(&withdrawn.publisher, &setup.publisher)
        {
            state.unused.push(withdrawn.publisher);
            self.work.notify_one();
        }
        if Arc::ptr_eq(&state.publisher, &setup.publisher) {
            state.url_shown = setup.url_shown;
            return None;
        }
        let (done, swapped) = oneshot::channel();
        state.replacement = Some(Replacement {
            publisher: setup.publisher,
            url_shown: setup.url_shown,
            in_flight,
            encoding,
            until: Instant::now() + self.options.drain_timeout,
            done,
        });
        self.work.notify_one();
        Some(swapped)
    }

    pub(crate) fn status(&self) -> PublisherStatus {
        let now = Instant::now();
        let state = self.state.lock();
        let spool = self.spool.as_ref().map(Spool::status);
        let mut counts = self.counters.counts();
        let (mut queued_samples, mut queued_batches) = (state.queue.own_samples(), state.queue.own_batches());
        if let Some(spool) = &spool {
            counts.dropped_samples += spool.counts.dropped_samples + spool.counts.lost_samples;
            counts.dropped_batches += spool.counts.dropped_records + spool.counts.lost_records;
            queued_samples += spool.incoming_samples;
            queued_batches += spool.incoming_batches;
        }
        let failing = state.health.failing();
        // While the spool takes batches, nobody waits and nothing is lost.
        let spooling = self
            .usable_spool(&state)
            .is_some_and(|(spool, _)| spool.takes() && !self.stands_still(&state));
        let blocked = state.health.blocked().filter(|_| !spooling);
        let publisher_state = match (&state.mode, blocked, failing) {
            (Mode::Stopped, ..) => PublisherState::Stopped,
            (Mode::Draining(draining), ..) => PublisherState::Draining {
                until: draining.until,
            },
            (Mode::Open, Some(since), failing) => PublisherState::Blocked {
                since,
                error: failing.map(|failing| failing.error.clone()),
                attempts: failing.map_or(0, |failing| failing.attempts),
                dropped: state.health.dropping(),
            },
            (Mode::Open, None, Some(failing)) => PublisherState::Retrying {
                since: failing.since,
                error: failing.error.clone(),
                attempts: failing.attempts,
            },
            (Mode::Open, None, None) if state.queue.is_empty() => PublisherState::Idle,
            (Mode::Open, None, None) => PublisherState::Delivering,
        };
        PublisherStatus {
            name: self.name.clone(),
            url_shown: state.url_shown.clone(),
            state: publisher_state,
            bound: state.queue.bound(),
            queued_samples,
            queued_batches,
            oldest: state.queue.oldest().map(|since| now.duration_since(since)),
            spool,
            counts,
        }
    }
}

impl State {
    /// All publishers that this lane has, for closing.
    fn dismiss(&mut self) -> Vec<Arc<dyn Publisher>> {
        let mut leaving = std::mem::take(&mut self.unused);
        leaving.push(self.publisher.clone());
        leaving.extend(self.replacement.take().map(|replacement| replacement.publisher));
        leaving
    }
}

impl Offered {
    /// Waits for room: as long as the publisher takes batches, and then for [`NotifierOptions::patience`]. After that
    /// the publisher counts as blocked and its oldest batches make room.
    pub(crate) async fn wait(mut self) {
        let lane = self.lane.clone();
        loop {
            let mut room = std::pin::pin!(lane.room.notified());
            // Registered before looking: room that is made in between is not missed.
            room.as_mut().enable();
            let Some(patient_until) = self.try_enter() else {
                return;
            };
            if timeout_at(patient_until, room).await.is_err() {
                let mut state = lane.state.lock();
                let patience = lane.options.patience;
                if state.health.check_blocked(self.began, patience, Instant::now()) {
                    lane.room.notify_waiters();
                }
            }
        }
    }

    /// Queues the batch if there is room, or if there is no use in waiting; else says how long to wait.
    fn try_enter(&mut self) -> Option<Instant> {
        let lane = &self.lane;
        let mut guard = lane.state.lock();
        let state = &mut *guard;
        state.waiters -= 1;
        let others = std::mem::replace(&mut state.waiters, 0);
        // Whoever is woken goes first: the others have waited for less.
        let must_wait = lane.must_wait(state, &self.batch, &mut self.ticket);
        state.waiters = others;
        if must_wait {
            state.waiters += 1;
            return Some(state.health.last_progress().max(self.began) + lane.options.patience);
        }
        let aftermath = self
            .ticket
            .take()
            .map(|ticket| lane.admit(state, &self.batch, ticket));
        // Where there was room for one, there may be for the next.
        if state.waiters > 0 && (lane.spool.is_some() || state.queue.samples() < state.queue.bound()) {
            lane.room.notify_one();
        }
        if matches!(state.mode, Mode::Draining(_)) {
            lane.work.notify_one();
        }
        drop(guard);
        if let Some(aftermath) = aftermath {
            aftermath.settle(&lane.name);
        }
        None
    }
}

impl Drop for Offered {
    /// Whoever handed the batch over went away: the batch is lost to this publisher, and counted.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let samples = self.batch.len();
        let mut aftermath = Aftermath::default();
        {
            let mut state = self.lane.state.lock();
            let state = &mut *state;
            state.waiters -= 1;
            self.lane.counters.submitted(samples);
            self.lane.counters.dropped(samples);
            let bound = state.queue.bound();
            state
                .health
                .lose(samples, bound, Instant::now(), &mut aftermath.events);
            aftermath.lost_tickets.push(ticket);
            self.lane.wake_a_waiter(state);
            if matches!(state.mode, Mode::Draining(_)) {
                self.lane.work.notify_one();
            }
        }
        aftermath.settle(&self.lane.name);
    }
}

/// How many batches the publisher may have under way, whatever it says.
fn in_flight(publisher: &dyn Publisher) -> usize {
    catch_unwind(AssertUnwindSafe(|| publisher.in_flight()))
        .unwrap_or(1)
        .clamp(1, MAX_IN_FLIGHT)
}

/// The encoding that a spool stores for the publisher.
fn encoding(publisher: &dyn Publisher) -> Option<Arc<dyn Encoding>> {
    catch_unwind(AssertUnwindSafe(|| publisher.encoding())).unwrap_or(None)
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
