//! Calls of the publisher's task: the next batch, and the results of publishes.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Batch, Encoding, Run};
use nephoscope_plugin::{Accepted, Publisher, RunEnd};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Effects, Machine, Mode};
use crate::events::{Event, Fault};
use crate::lane::storage::Storage;
use crate::options::BACKLOG_INTERVAL;
use crate::queue::Entry;
use crate::spool::{Incoming, Next, Order, Outgoing};

/// The next step of the publisher's task.
pub(crate) enum Step {
    /// Publish this batch.
    Publish(PublishCall),
    /// Wait for a change, at most until this time.
    Wait(Option<Instant>),
    /// Notify the publisher of the end of a run.
    EndRun(RunEndCall),
    /// Close these publishers, which have no in-flight batches.
    Close(Vec<Arc<dyn Publisher>>),
    /// Drop in-flight publishes, close this publisher and send on the channel: the next publisher is in place.
    Swap(Arc<dyn Publisher>, oneshot::Sender<()>),
    /// Drop in-flight publishes, close these publishers, and end.
    End(Vec<Arc<dyn Publisher>>),
}

/// A publish to start.
pub(crate) struct PublishCall {
    pub(crate) number: u64,
    pub(crate) batch: Arc<Batch>,
    pub(crate) publisher: Arc<dyn Publisher>,
}

/// A run hook to call.
pub(crate) struct RunEndCall {
    pub(crate) run: Arc<Run>,
    pub(crate) end: Arc<RunEnd>,
    pub(crate) publisher: Arc<dyn Publisher>,
}

/// The result of a publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PublishResult {
    Accepted(Accepted),
    Rejected(String),
    Retry {
        fault: Fault,
        error: String,
        /// The minimum pause that the destination requested.
        not_before: Option<Duration>,
    },
}

impl Machine {
    /// Decides the next step of the publisher's task.
    pub(crate) fn step(&mut self, storage: Option<&dyn Storage>, now: Instant) -> Step {
        self.task_idle = false;
        let mut wake_at = None;
        match self.mode {
            Mode::Open => {}
            Mode::Draining(draining) => {
                let all_gone = self.queue.is_empty() && self.waiters == 0 && !self.runs.are_open();
                if now >= draining.deliver_until || all_gone || self.should_store(storage) {
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
            && (self.queue.in_flight() > 0 || self.runs.reporting)
            && now < until
        {
            return Step::Wait(earliest(wake_at, Some(until)));
        }
        if let Some(replacement) = self.replacement.take() {
            self.queue.put_all_back();
            self.health.reset(now);
            let leaving = std::mem::replace(&mut self.target, replacement.target);
            if let Some(storage) = storage {
                let queue = &mut self.queue;
                storage.set_demand(self.target.max_in_flight, &self.target.accepts, &mut || {
                    queue.return_unfinished()
                });
            }
            if self.target.follows_runs {
                self.runs.track_again(self.queue.waiting());
            } else {
                self.runs.clear();
            }
            return Step::Swap(leaving.publisher, replacement.done);
        }
        if let Some((run, end)) = self.runs.take_due() {
            return Step::EndRun(RunEndCall {
                run,
                end,
                publisher: self.target.publisher.clone(),
            });
        }
        let resume_at = self.health.resume_at(now);
        let epoch = self.health.epoch();
        // A failing publisher gets one publish at a time, as a probe.
        let may_publish = self.queue.in_flight() < self.target.max_in_flight
            && !self.runs.reporting
            && (self.health.failing().is_none() || self.queue.in_flight_since(epoch) == 0);
        if may_publish && resume_at.is_none() {
            if let Some((number, batch)) = self.next(storage, epoch, now) {
                return Step::Publish(PublishCall {
                    number,
                    batch,
                    publisher: self.target.publisher.clone(),
                });
            }
            self.task_idle = true;
        } else if may_publish {
            // Also with an empty queue: the storage may hold batches.
            wake_at = earliest(wake_at, resume_at);
        }
        Step::Wait(wake_at)
    }

    /// The next batch and its encoding, if the batch is not yet encoded.
    pub(crate) fn unprepared(&self) -> Option<(Arc<Batch>, Arc<dyn Encoding>)> {
        let encoding = self.target.encoding.as_ref()?;
        let batch = self.queue.first_waiting()?;
        (!batch.is_encoded(&**encoding)).then(|| (batch.clone(), encoding.clone()))
    }

    /// Records the result of a run hook. `ok` is false if it panicked or timed out.
    pub(crate) fn run_end_handled(&mut self, ok: bool) -> Effects {
        self.runs.reporting = false;
        if ok {
            Effects::default()
        } else {
            self.run_hook_failed()
        }
    }

    /// Logs the first failure of a run hook.
    pub(crate) fn run_hook_failed(&mut self) -> Effects {
        let mut effects = Effects::default();
        if !std::mem::replace(&mut self.run_hook_failure_logged, true) {
            effects.events.push(Event::RunHookFailed);
        }
        effects
    }

    /// Records the duration of a publish.
    pub(crate) fn count_attempt(&mut self, duration: Duration) {
        self.publish_durations.add(duration.as_secs_f64());
    }

    /// Records the result of a publish.
    pub(crate) fn record(
        &mut self,
        number: u64,
        result: PublishResult,
        storage: Option<&dyn Storage>,
        now: Instant,
    ) -> Effects {
        let mut effects = Effects::default();
        // Unknown: the queue was taken away from a publisher that blocked its thread.
        let Some((entry, epoch)) = self.queue.take_in_flight(number) else {
            return effects;
        };
        let was_failing = self.health.failing().is_some();
        match result {
            PublishResult::Accepted(accepted)
                if accepted.rejected() == 0 || accepted.rejected() < entry.samples() =>
            {
                self.accepted(entry, &accepted, epoch, storage, now, &mut effects);
            }
            PublishResult::Accepted(accepted) => {
                let reason = accepted.reason().to_owned();
                self.rejected(entry, reason, epoch, storage, now, &mut effects);
            }
            PublishResult::Rejected(reason) => {
                self.rejected(entry, reason, epoch, storage, now, &mut effects)
            }
            PublishResult::Retry {
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
            storage.move_to_backlog();
        }
        effects
    }

    /// Records a batch that was accepted, at least in part. The rejected samples are unknown, so that they are no dead letters.
    fn accepted(
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
        self.health.complete(epoch, emptied, now, &mut effects.events);
        if rejected == 0 {
            self.health.deliver(now, &mut effects.events);
            effects.delivered = Some(entry);
        } else {
            self.counts.reject_part(rejected);
            let reason = accepted.reason().to_owned();
            self.health.reject(rejected, reason, now, &mut effects.events);
            effects.lost.push(entry);
        }
        effects.room = self.room_if_eased();
    }

    /// Records a batch that was permanently rejected.
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
            let encoding = self.target.encoding.clone();
            storage.reject(entry.stored(), entry.batch().clone(), encoding, reason.clone());
        }
        self.counts.reject(samples);
        let emptied = self.queue.is_empty();
        self.health.complete(epoch, emptied, now, &mut effects.events);
        self.health.reject(samples, reason, now, &mut effects.events);
        effects.lost.push(entry);
        effects.room = self.room_if_eased();
    }

    /// Updates the counts for a batch that does not return to the queue.
    fn settle(&mut self, entry: &Entry) {
        self.queue.forget(entry);
        self.runs.release(entry.batch());
    }

    /// Whether a drain should store the remaining batches now rather than wait for the publisher.
    fn should_store(&self, storage: Option<&dyn Storage>) -> bool {
        let Some((storage, _)) = self.usable(storage).filter(|_| self.waiters == 0) else {
            return false;
        };
        let stuck = self.health.failing().is_some() || self.health.blocked().is_some();
        let behind = storage.order() == Order::Fifo && storage.has_backlog();
        storage.accepts() && (stuck || behind)
    }

    /// Starts the next batch.
    fn next(&mut self, storage: Option<&dyn Storage>, epoch: u64, now: Instant) -> Option<(u64, Arc<Batch>)> {
        if let Some(started) = self.queue.take_returned(epoch) {
            return Some(started);
        }
        let Some((storage, _)) = self.usable(storage) else {
            return self.queue.take(epoch);
        };
        if matches!(self.mode, Mode::Draining(_)) {
            // Stored batches stay stored.
            return self.queue.take(epoch);
        }
        let fifo = storage.order() == Order::Fifo;
        let turn = self.publishes % BACKLOG_INTERVAL == BACKLOG_INTERVAL - 1;
        self.publishes = self.publishes.wrapping_add(1);
        self.backlog_first &= storage.has_backlog();
        if !fifo
            && !turn
            && !self.backlog_first
            && let Some(started) = self.queue.take(epoch)
        {
            return Some(started);
        }
        match storage.next() {
            Next::Stored(Outgoing { number, batch }) => {
                Some(self.queue.start_stored(batch, None, Some(number), epoch, now))
            }
            Next::NotStored(Incoming { batch, ticket, .. }) => {
                if self.target.follows_runs {
                    self.runs.track(&batch);
                }
                Some(self.queue.start_stored(batch, Some(ticket), None, epoch, now))
            }
            // In order: new batches must not overtake stored ones.
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
