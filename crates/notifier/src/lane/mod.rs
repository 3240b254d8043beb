//! The lane of a publisher: its queue, its state machine and its task.
//!
//! Cycles submit batches ([`Lane::offer`], [`Offered::wait`]), the publisher's task ([`run`]) takes and publishes them
//! ([`Lane::step`], [`Lane::record`]), and the notifier controls both. All decisions are in [`machine`]. The lane holds its lock
//! only for a decision: log lines are written, receipts resolved and tasks woken after the lock is released.

mod machine;
mod offered;
mod storage;
mod target;
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

use self::machine::{Effects, Machine, Placed, PublishResult, Remaining, Room, Step, View};
pub(crate) use self::offered::Offered;
pub(crate) use self::storage::Storage;
use self::target::Target;
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
    /// Wakes the submitters that wait for room in the queue, in the order of their arrival.
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
        let target = Target::new(setup.publisher, setup.url_shown);
        let (max_in_flight, accepts) = (target.max_in_flight, target.accepts.clone());
        let can_store = target.encoding.is_some();
        if setup.spool.is_some() && !can_store {
            Event::NoEncoding.emit(&setup.name);
        }
        let machine = Machine::new(target, setup.queue, &options, Instant::now());
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
            spool.set_demand(max_in_flight, accepts, Vec::new);
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

    /// Whether `other` is its spool.
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

    /// Lets the machine decide and applies the effects.
    fn act(&self, decide: impl FnOnce(&mut Machine, Option<&dyn Storage>, Instant) -> Effects) {
        let effects = decide(&mut self.state.lock().machine, self.storage(), Instant::now());
        self.apply(effects);
    }

    /// Applies the effects of a decision. The lock must not be held.
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
            Room::None => {}
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

    // Called by cycles.

    /// Submits a batch without waiting. Returns `Some` if neither the queue nor the spool has room and the publisher is not
    /// blocked: the batch must wait for room.
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

    /// Notifies the publisher of the start of a run. `owns` returns whether this agent polls the resource with a key.
    pub(crate) fn run_started(&self, run: &Arc<Run>, owns: &dyn Fn(&str) -> bool) {
        let publisher = self.publisher();
        let began = catch_unwind(AssertUnwindSafe(|| publisher.run_started(run, owns)));
        if began.is_err() {
            self.act(|machine, _, _| machine.run_hook_failed());
        }
    }

    /// Queues the end of a run. The publisher is notified of it when the earlier batches are settled.
    pub(crate) fn run_ended(&self, run: Arc<Run>, end: Arc<RunEnd>) {
        self.act(|machine, _, _| machine.end_run(run, end));
    }

    // Called by the publisher's task.

    /// Resolves when the next [`Step`] may have changed.
    async fn work(&self) {
        self.work.notified().await;
    }

    /// The next step of the publisher's task.
    fn step(&self) -> Step {
        self.state.lock().machine.step(self.storage(), Instant::now())
    }

    /// The next batch and its encoding, if the batch is not yet encoded.
    fn unprepared(&self) -> Option<(Arc<Batch>, Arc<dyn Encoding>)> {
        self.state.lock().machine.unprepared()
    }

    /// Records the result of a publish.
    fn record(&self, number: u64, result: PublishResult, duration: Duration) {
        self.act(|machine, storage, now| {
            machine.count_attempt(duration);
            machine.record(number, result, storage, now)
        });
    }

    /// Records the result of a run hook.
    fn run_end_handled(&self, ok: bool) {
        self.act(|machine, _, _| machine.run_end_handled(ok));
    }

    /// Logs the replacement of a publisher, which is closed now.
    fn swapped(&self, closed: bool) {
        let queued = self.state.lock().machine.queued_samples();
        Event::Replaced { queued }.emit(&self.name);
        if !closed {
            Event::NotClosed.emit(&self.name);
        }
    }

    /// Records the end of the publisher's task.
    fn finish(&self, closed: bool) {
        if let Some(end) = &mut self.state.lock().end {
            end.closed = closed;
        }
        if !closed {
            Event::NotClosed.emit(&self.name);
        }
        self.stopped.cancel();
    }

    // Called by the notifier, and by the task at its end.

    /// Drains the queue until `until` and then stops. An earlier deadline of another call wins.
    pub(crate) fn drain(&self, until: Instant) {
        self.act(|machine, storage, now| machine.drain(until, storage, now));
    }

    /// Delivers the spool first and retries immediately.
    pub(crate) fn prioritize_backlog(&self) {
        self.act(|machine, _, now| machine.prioritize_backlog(now));
    }

    /// Stores the remaining batches in the spool, if there is one, and closes it: until the deadline of the drain, and for a
    /// minimum time in any case. [`Lane::stop`] drops batches that are not stored by then.
    pub(crate) async fn store_remaining(&self) {
        let Some(spool) = &self.spool else { return };
        let now = Instant::now();
        let (until, effects) = {
            let mut state = self.state.lock();
            let Some((until, rest, effects)) = state.machine.take_remaining(now) else {
                return;
            };
            // Under the lock, so that every batch is counted in exactly one place at any moment.
            spool.close(rest);
            (until, effects)
        };
        self.apply(effects);
        let deadline = until.max(now) + CLOSE_TIMEOUT - CLOSE_TIMEOUT / 10;
        _ = timeout_at(deadline, spool.closed()).await;
    }

    /// Drops and counts the remaining batches. Later batches are dropped, too.
    pub(crate) fn stop(&self) {
        let unstored = || match &self.spool {
            Some(spool) => {
                spool.close(Vec::new());
                spool.take_unstored()
            }
            None => Vec::new(),
        };
        let effects = {
            let mut state = self.state.lock();
            let Some((Remaining { samples, batches }, effects)) = state.machine.stop(unstored) else {
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

    /// Resolves when the publisher is stopped and closed.
    pub(crate) async fn stopped(&self) {
        self.stopped.cancelled().await;
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.is_cancelled()
    }

    /// How the publisher ended; available after [`Lane::stop`].
    pub(crate) fn end(&self) -> Option<PublisherEnd> {
        self.state.lock().end.clone()
    }

    /// Applies the settings of a reload. Returns a receiver for the replacement of the publisher if it is a different one.
    pub(crate) fn update(&self, setup: PublisherSetup) -> Option<oneshot::Receiver<()>> {
        let target = Target::new(setup.publisher, setup.url_shown);
        let (swapped, effects) = self
            .state
            .lock()
            .machine
            .update(target, setup.queue, Instant::now());
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
            oldest_age,
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
            oldest_age,
            spool,
            counts,
            publish_durations: publish_durations.clone(),
        }
    }
}
