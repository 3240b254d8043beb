//! The way of samples to one publisher: its queue, its state, and who may do what with them when.
//!
//! Cycles hand batches over from one side ([`Lane::offer`], [`Offered::wait`]), the publisher's task takes them from
//! the other ([`Lane::step`], [`Lane::record`]). Both hold the lock for bookkeeping only: log lines are written and
//! receipts resolved after it is released.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nephoscope_model::Batch;
use nephoscope_plugin::Publisher;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::events::{Counters, Event, Fault};
use crate::health::Health;
use crate::options::{MAX_IN_FLIGHT, NotifierOptions, PublisherSetup};
use crate::queue::{Entry, Queue};
use crate::receipt::Ticket;
use crate::status::{PublisherEnd, PublisherState, PublisherStatus};

pub(crate) struct Lane {
    name: Arc<str>,
    options: Arc<NotifierOptions>,
    counters: Counters,
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
    Draining(Instant),
    Stopped,
}

/// A publisher that takes the place of the present one.
struct Replacement {
    publisher: Arc<dyn Publisher>,
    url_shown: String,
    in_flight: usize,
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
    Taken,
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
    lost_ticket: Option<Ticket>,
}

impl Aftermath {
    fn settle(self, name: &str) {
        for event in &self.events {
            event.emit(name);
        }
        if let Some(entry) = self.delivered {
            entry.confirm();
        }
        drop((self.lost, self.lost_ticket));
    }
}

impl Lane {
    pub(crate) fn new(setup: PublisherSetup, options: Arc<NotifierOptions>) -> Self {
        let now = Instant::now();
        Self {
            name: setup.name,
            counters: Counters::default(),
            state: Mutex::new(State {
                queue: Queue::new(setup.queue),
                health: Health::new(&options, now),
                in_flight: in_flight(&*setup.publisher),
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
        }
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

    /// Hands a batch over, without waiting. `Some` when the queue is full and the publisher not known to be
    /// blocked: then the batch waits for room.
    pub(crate) fn offer(self: &Arc<Self>, batch: &Arc<Batch>, ticket: Ticket) -> Option<Offered> {
        let samples = batch.samples().len();
        let mut state = self.state.lock();
        let queues = matches!(state.mode, Mode::Open | Mode::Draining(_));
        if queues && state.health.blocked().is_none() && (state.waiters > 0 || !state.queue.fits(samples)) {
            state.waiters += 1;
            drop(state);
            return Some(Offered {
                lane: self.clone(),
                batch: batch.clone(),
                ticket: Some(ticket),
                began: Instant::now(),
            });
        }
        let aftermath = self.admit(&mut state, batch, ticket);
        drop(state);
        aftermath.settle(&self.name);
        None
    }

    /// Queues the batch, and drops the oldest ones where it does not fit.
    fn admit(&self, state: &mut State, batch: &Arc<Batch>, ticket: Ticket) -> Aftermath {
        let now = Instant::now();
        let samples = batch.samples().len();
        let mut aftermath = Aftermath::default();
        self.counters.submitted(samples);
        if matches!(state.mode, Mode::Stopped) {
            self.counters.dropped(samples);
            if !std::mem::replace(&mut state.told_late, true) {
                aftermath.events.push(Event::CameTooLate);
            }
            aftermath.lost_ticket = Some(ticket);
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
                aftermath.lost_ticket = Some(ticket);
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
            Mode::Draining(until) => {
                if now >= until || (state.queue.is_empty() && state.waiters == 0) {
                    return Step::End(state.dismiss());
                }
                wake_at = Some(until);
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
            if let Some((number, batch)) = state.queue.take(epoch) {
                return Step::Publish(Departure {
                    number,
                    batch,
                    publisher: state.publisher.clone(),
                });
            }
            state.hungry = true;
        } else if may_fly && state.queue.has_waiting() {
            wake_at = earliest(wake_at, resume_at);
        } else if may_fly {
            state.hungry = true;
        }
        Step::Wait(wake_at)
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
            match answer {
                Answer::Taken => {
                    self.counters.delivered(samples);
                    let emptied = state.queue.is_empty();
                    state.health.answer(epoch, emptied, now, &mut aftermath.events);
                    state.health.deliver(now, &mut aftermath.events);
                    aftermath.delivered = Some(entry);
                    self.wake_a_waiter(state);
                }
                Answer::Refused(reason) => {
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
        state.mode = match state.mode {
            Mode::Open => Mode::Draining(until),
            Mode::Draining(other) => Mode::Draining(other.min(until)),
            Mode::Stopped => return,
        };
        state.health.resume(Instant::now());
        self.work.notify_one();
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
            until: Instant::now() + self.options.drain_timeout,
            done,
        });
        self.work.notify_one();
        Some(swapped)
    }

    pub(crate) fn status(&self) -> PublisherStatus {
        let now = Instant::now();
        let state = self.state.lock();
        let failing = state.health.failing();
        let publisher_state = match (&state.mode, state.health.blocked(), failing) {
            (Mode::Stopped, ..) => PublisherState::Stopped,
            (Mode::Draining(until), ..) => PublisherState::Draining { until: *until },
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
            queued_samples: state.queue.samples(),
            queued_batches: state.queue.batches(),
            oldest: state.queue.oldest().map(|since| now.duration_since(since)),
            counts: self.counters.counts(),
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
        let mut state = lane.state.lock();
        let hopeless = state.health.blocked().is_some() || matches!(state.mode, Mode::Stopped);
        if !hopeless && !state.queue.fits(self.batch.samples().len()) {
            return Some(state.health.last_progress().max(self.began) + lane.options.patience);
        }
        let ticket = self.ticket.take()?;
        state.waiters -= 1;
        let aftermath = lane.admit(&mut state, &self.batch, ticket);
        // Where there was room for one, there may be for the next.
        if state.waiters > 0 && state.queue.samples() < state.queue.bound() {
            lane.room.notify_one();
        }
        if matches!(state.mode, Mode::Draining(_)) {
            lane.work.notify_one();
        }
        drop(state);
        aftermath.settle(&lane.name);
        None
    }
}

impl Drop for Offered {
    /// Whoever handed the batch over went away: the batch is lost to this publisher, and counted.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let samples = self.batch.samples().len();
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
            aftermath.lost_ticket = Some(ticket);
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

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
