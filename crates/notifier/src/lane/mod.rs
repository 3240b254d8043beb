//! The way of samples to one publisher: its queue, its state, and who may do what with them when.
//!
//! Cycles hand batches over from one side ([`Lane::offer`], [`Offered::wait`]), the publisher's task ([`run`]) takes them
//! from the other ([`Lane::step`], [`Lane::record`]), the notifier controls both. What is decided is in [`machine`]. A lane
//! holds its lock for that alone: log lines are written, receipts resolved and tasks woken after it is released.

mod machine;
mod offered;
mod served;
mod storage;
mod task;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Batch, Encoding, Run};
use nephoscope_plugin::{Publisher, RunEnd};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::machine::{Answer, Effects, Left, Machine, Placed, Room, Step, View};
pub(crate) use self::offered::Offered;
use self::served::Served;
pub(crate) use self::storage::Storage;
pub(crate) use self::task::run;
use crate::events::Event;
use crate::options::{CLOSE_TIMEOUT, NotifierOptions, PublisherSetup};
use crate::receipt::Ticket;
use crate::spool::Spool;
use crate::status::{PublisherEnd, PublisherStatus};

pub(crate) struct Lane {
    name: Arc<str>,
    options: Arc<NotifierOptions>,
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
    machine: Machine,
    end: Option<PublisherEnd>,
}

impl Lane {
    pub(crate) fn new(setup: PublisherSetup, options: Arc<NotifierOptions>) -> Arc<Self> {
        let served = Served::new(setup.publisher, setup.url_shown);
        let (in_flight, takes) = (served.in_flight, served.takes.clone());
        let can_store = served.encoding.is_some();
        if setup.spool.is_some() && !can_store {
            Event::NoEncoding.emit(&setup.name);
        }
        let machine = Machine::new(served, setup.queue, &options, Instant::now());
        let lane = Arc::new(Self {
            name: setup.name,
            spool: setup.spool,
            state: Mutex::new(State { machine, end: None }),
            options,
            work: Notify::new(),
            room: Notify::new(),
            stopped: CancellationToken::new(),
        });
        if let Some(spool) = &lane.spool
            && can_store
        {
            let weak = Arc::downgrade(&lane);
            spool.listen(move || {
                if let Some(lane) = weak.upgrade() {
                    lane.act(|machine, storage, now| machine.storage_changed(storage, now));
                }
            });
            spool.serve(in_flight, takes, Vec::new);
        }
        lane
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn options(&self) -> &NotifierOptions {
        &self.options
    }

    pub(crate) fn publisher(&self) -> Arc<dyn Publisher> {
        self.state.lock().machine.publisher().clone()
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

    fn storage(&self) -> Option<&dyn Storage> {
        self.spool.as_ref().map(|spool| spool as &dyn Storage)
    }

    /// Has the machine decide something, and does what follows.
    fn act(&self, decide: impl FnOnce(&mut Machine, Option<&dyn Storage>, Instant) -> Effects) {
        let effects = decide(&mut self.state.lock().machine, self.storage(), Instant::now());
        self.apply(effects);
    }

    /// Does what follows from a decision. The lock must not be held.
    fn apply(&self, effects: Effects) {
        let Effects {
            events,
            delivered,
            lost,
            lost_tickets,
            work,
            room,
        } = effects;
        if work {
            self.work.notify_one();
        }
        match room {
            Room::Nobody => {}
            Room::One => self.room.notify_one(),
            Room::All => self.room.notify_waiters(),
        }
        for event in &events {
            event.emit(&self.name);
        }
        if let Some(entry) = delivered {
            entry.confirm();
        }
        drop((lost, lost_tickets));
    }

    // From the side of the cycles.

    /// Hands a batch over, without waiting. `Some` when there is no room, neither in memory nor in the spool, and the
    /// publisher is not known to be blocked: then the batch waits for room.
    pub(crate) fn offer(self: &Arc<Self>, batch: &Arc<Batch>, ticket: Ticket) -> Option<Offered> {
        let now = Instant::now();
        let placed = self
            .state
            .lock()
            .machine
            .offer(batch, ticket, self.storage(), now);
        match placed {
            Placed::Done(effects) => {
                self.apply(effects);
                None
            }
            Placed::Waits(ticket) => Some(Offered::new(self.clone(), batch.clone(), ticket, now)),
        }
    }

    /// A run begins of which the publisher hears: `owns` says whether this agent polls the resource with a key.
    pub(crate) fn run_began(&self, run: &Arc<Run>, owns: &dyn Fn(&str) -> bool) {
        let publisher = self.publisher();
        let began = catch_unwind(AssertUnwindSafe(|| publisher.run_began(run, owns)));
        if began.is_err() {
            self.act(|machine, _, _| machine.deaf());
        }
    }

    /// A run has ended of which the publisher hears, when the batches are settled that were handed over.
    pub(crate) fn run_ended(&self, run: Arc<Run>, end: Arc<RunEnd>) {
        self.act(|machine, _, _| machine.end_run(run, end));
    }

    // From the side of the publisher's task.

    /// Resolves when there may be another [`Step`].
    async fn work(&self) {
        self.work.notified().await;
    }

    /// What the publisher's task does next.
    fn step(&self) -> Step {
        self.state.lock().machine.step(self.storage(), Instant::now())
    }

    /// The batch that will set out when there is room, if it has yet to be encoded for its publisher, and the encoding.
    fn unprepared(&self) -> Option<(Arc<Batch>, Arc<dyn Encoding>)> {
        self.state.lock().machine.unprepared()
    }

    /// Notes what came of a publish.
    fn record(&self, number: u64, answer: Answer, duration: Duration) {
        self.act(|machine, storage, now| {
            machine.count_attempt(duration);
            machine.record(number, answer, storage, now)
        });
    }

    /// The publisher was told of the end of a run.
    fn told(&self, heard: bool) {
        self.act(|machine, _, _| machine.told(heard));
    }

    /// A publisher that was replaced is closed.
    fn swapped(&self, closed: bool) {
        let queued = self.state.lock().machine.held();
        Event::Replaced { queued }.emit(&self.name);
        if !closed {
            Event::NotClosed.emit(&self.name);
        }
    }

    /// The publisher's task is at its end.
    fn finish(&self, closed: bool) {
        if let Some(end) = &mut self.state.lock().end {
            end.closed = closed;
        }
        if !closed {
            Event::NotClosed.emit(&self.name);
        }
        self.stopped.cancel();
    }

    // From the side of the notifier, and of the task at its end.

    /// Empties the queue for good, at most until then. Of two deadlines the earlier counts.
    pub(crate) fn drain(&self, until: Instant) {
        self.act(|machine, storage, now| machine.drain(until, storage, now));
    }

    /// Delivers what the spool holds as soon as may be: the next retry need not wait, and what is fresh does.
    pub(crate) fn hurry(&self) {
        self.act(|machine, _, now| machine.hurry(now));
    }

    /// Stores what is left, where there is a spool, and closes that: until the deadline of the stop, and for a moment in
    /// any case. What is not stored by then is dropped by [`Lane::stop`].
    pub(crate) async fn put_away(&self) {
        let Some(spool) = &self.spool else { return };
        let now = Instant::now();
        let (until, effects) = {
            let mut state = self.state.lock();
            let Some((until, rest, effects)) = state.machine.put_away(now) else {
                return;
            };
            // Under the lock: every batch is counted in one place at any moment.
            spool.close(rest);
            (until, effects)
        };
        self.apply(effects);
        let deadline = until.max(now) + CLOSE_TIMEOUT - CLOSE_TIMEOUT / 10;
        _ = timeout_at(deadline, spool.closed()).await;
    }

    /// Counts and drops whatever is left; nothing is taken any more.
    pub(crate) fn stop(&self) {
        let unstored = || match &self.spool {
            Some(spool) => {
                spool.close(Vec::new());
                spool.take_back()
            }
            None => Vec::new(),
        };
        let effects = {
            let mut state = self.state.lock();
            let Some((Left { samples, batches }, effects)) = state.machine.stop(unstored) else {
                return;
            };
            state.end = Some(PublisherEnd {
                name: self.name.clone(),
                dropped_samples: samples,
                dropped_batches: batches,
                closed: false,
            });
            effects
        };
        self.apply(effects);
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
        let served = Served::new(setup.publisher, setup.url_shown);
        let (swapped, effects) = self
            .state
            .lock()
            .machine
            .update(served, setup.queue, Instant::now());
        self.apply(effects);
        swapped
    }

    pub(crate) fn status(&self) -> PublisherStatus {
        let state = self.state.lock();
        let spool = self.spool.as_ref().map(Spool::status);
        let View {
            url_shown,
            state: publisher_state,
            bound,
            mut queued_samples,
            mut queued_batches,
            oldest,
            mut counts,
            publish_durations,
        } = state.machine.view(self.storage(), Instant::now());
        if let Some(spool) = &spool {
            counts.dropped_samples += spool.counts.dropped_samples + spool.counts.lost_samples;
            counts.dropped_batches += spool.counts.dropped_records + spool.counts.lost_records;
            queued_samples += spool.incoming_samples;
            queued_batches += spool.incoming_batches;
        }
        PublisherStatus {
            name: self.name.clone(),
            url_shown: url_shown.to_owned(),
            state: publisher_state,
            bound,
            queued_samples,
            queued_batches,
            oldest,
            spool,
            counts,
            publish_durations: publish_durations.clone(),
        }
    }
}
