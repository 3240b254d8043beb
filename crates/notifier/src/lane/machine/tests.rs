use std::cell::{Cell, RefCell};

use nephoscope_model::{Batch, CycleId, Encoding, JsonLines, PayloadKind, Run, ScheduleId, Timestamp};
use nephoscope_plugin::{Accepted, PublishError, RunEnd, RunOutcome};

use super::*;
use crate::events::Fault;
use crate::receipt::{Outcome, Receipt};
use crate::spool::{AcceptedContents, Incoming, Next, Order, SpoolMode};

struct PendingPublisher {
    stores: bool,
    follows: bool,
}

#[async_trait::async_trait]
impl Publisher for PendingPublisher {
    async fn publish(&self, _: Arc<Batch>) -> Result<Accepted, PublishError> {
        std::future::pending().await
    }

    fn follows_runs(&self) -> bool {
        self.follows
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        self.stores.then(|| Arc::new(JsonLines) as Arc<dyn Encoding>)
    }
}

/// A storage in memory with room for a number of batches.
struct MemoryStorage {
    room: Cell<usize>,
    mode: SpoolMode,
    stored: RefCell<Vec<Incoming>>,
    done: RefCell<Vec<u64>>,
}

impl MemoryStorage {
    fn new(mode: SpoolMode, room: usize) -> Self {
        Self {
            room: Cell::new(room),
            mode,
            stored: RefCell::default(),
            done: RefCell::default(),
        }
    }
}

impl Storage for MemoryStorage {
    fn accepts(&self) -> bool {
        true
    }

    fn mode(&self) -> SpoolMode {
        self.mode
    }

    fn order(&self) -> Order {
        Order::NewestFirst
    }

    fn offer(
        &self,
        batch: &Arc<Batch>,
        encoding: &Arc<dyn Encoding>,
        ticket: &mut Option<Ticket>,
        _: usize,
    ) -> bool {
        if self.room.get() == 0 {
            return false;
        }
        self.room.set(self.room.get() - 1);
        let ticket = ticket.take().unwrap();
        self.stored.borrow_mut().push(Incoming {
            batch: batch.clone(),
            encoding: encoding.clone(),
            ticket,
        });
        true
    }

    fn has_backlog(&self) -> bool {
        !self.stored.borrow().is_empty()
    }

    fn next(&self) -> Next {
        match self.stored.borrow_mut().pop() {
            Some(incoming) => Next::NotStored(incoming),
            None => Next::Nothing,
        }
    }

    fn set_demand(&self, _: usize, _: &AcceptedContents, _: &mut dyn FnMut() -> Vec<u64>) {}

    fn done(&self, number: u64, _: usize) {
        self.done.borrow_mut().push(number);
    }

    fn reject(&self, _: Option<u64>, _: Arc<Batch>, _: Option<Arc<dyn Encoding>>, _: String) {}

    fn move_to_backlog(&self) {}
}

fn machine(bound: usize, stores: bool, now: Instant) -> Machine {
    let follows = false;
    let target = Target::new(Arc::new(PendingPublisher { stores, follows }), "test:".to_owned());
    Machine::new(target, bound, &NotifierOptions::default(), now)
}

fn following(bound: usize, stores: bool, now: Instant) -> Machine {
    let follows = true;
    let target = Target::new(Arc::new(PendingPublisher { stores, follows }), "test:".to_owned());
    Machine::new(target, bound, &NotifierOptions::default(), now)
}

fn run(number: i64) -> Arc<Run> {
    let cycle = CycleId::new(
        ScheduleId::new("every:10:0"),
        Timestamp::from_millis(number * 10_000),
        number,
    );
    Arc::new(Run::new(cycle, seconds(10), "p"))
}

fn offer_of(machine: &mut Machine, run: &Arc<Run>, storage: Option<&dyn Storage>, now: Instant) -> Receipt {
    let (receipt, ticket) = Receipt::open();
    let batch = Batch::stored(JsonLines.id(), Vec::new(), PayloadKind::Samples, 4);
    let placed = machine.offer(&Arc::new(batch.of_run(run.clone())), ticket, storage, now);
    assert!(matches!(placed, Placed::Done(_)));
    receipt
}

fn end(machine: &mut Machine, run: &Arc<Run>) {
    let end = Arc::new(RunEnd::new(RunOutcome::Complete));
    assert!(machine.end_run(run.clone(), end).work);
}

/// The cycle of the next reported run end.
fn next_run_end(machine: &mut Machine, storage: Option<&dyn Storage>, now: Instant) -> Option<i64> {
    match machine.step(storage, now) {
        Step::EndRun(call) => Some(call.run.cycle.number),
        _ => None,
    }
}

fn batch(samples: usize) -> Arc<Batch> {
    Arc::new(Batch::stored(
        JsonLines.id(),
        Vec::new(),
        PayloadKind::Samples,
        samples,
    ))
}

fn offer(
    machine: &mut Machine,
    samples: usize,
    storage: Option<&dyn Storage>,
    now: Instant,
) -> (Receipt, Placed) {
    let (receipt, ticket) = Receipt::open();
    (receipt, machine.offer(&batch(samples), ticket, storage, now))
}

fn publish(machine: &mut Machine, storage: Option<&dyn Storage>, now: Instant) -> u64 {
    match machine.step(storage, now) {
        Step::Publish(call) => call.number,
        _ => panic!("nothing is published"),
    }
}

fn retry(not_before: Option<Duration>) -> PublishResult {
    PublishResult::Retry {
        fault: Fault::Error,
        error: "busy".to_owned(),
        not_before,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_partial_rejection_is_counted_and_marks_the_receipt_as_dropped() {
    let now = Instant::now();
    let mut machine = machine(100, false, now);
    let (receipt, placed) = offer(&mut machine, 5, None, now);
    assert!(matches!(placed, Placed::Done(_)));
    let number = publish(&mut machine, None, now);
    let effects = machine.record(
        number,
        PublishResult::Accepted(Accepted::partly(2, "too old")),
        None,
        now,
    );
    assert!(
        matches!(&effects.events[..], [Event::RejectingBegan { reason }] if reason == "too old"),
        "{:?}",
        effects.events
    );
    drop(effects);
    assert_eq!(receipt.known(), Some(Outcome::Dropped));
    let counts = machine.counts;
    assert_eq!((counts.delivered_samples, counts.delivered_batches), (3, 1));
    assert_eq!((counts.rejected_samples, counts.rejected_batches), (2, 0));
}

#[test]
fn a_rejection_of_all_samples_rejects_the_batch() {
    let now = Instant::now();
    let mut machine = machine(100, false, now);
    let (receipt, _) = offer(&mut machine, 5, None, now);
    let number = publish(&mut machine, None, now);
    // More than the batch has: the destination may count differently.
    drop(machine.record(
        number,
        PublishResult::Accepted(Accepted::partly(7, "no")),
        None,
        now,
    ));
    assert_eq!(receipt.known(), Some(Outcome::Dropped));
    let counts = machine.counts;
    assert_eq!((counts.delivered_samples, counts.delivered_batches), (0, 0));
    assert_eq!((counts.rejected_samples, counts.rejected_batches), (5, 1));
}

#[test]
fn the_destination_may_request_a_longer_pause_up_to_a_limit() {
    for (requested, expected) in [(20, 20), (100_000, 300)] {
        let mut now = Instant::now();
        let mut machine = machine(100, false, now);
        let (_receipt, _) = offer(&mut machine, 1, None, now);
        let number = publish(&mut machine, None, now);
        drop(machine.record(number, retry(Some(seconds(requested))), None, now));
        let until = now + seconds(expected);
        assert!(matches!(machine.step(None, now), Step::Wait(Some(wait)) if wait == until));
        now = until;
        publish(&mut machine, None, now);
    }
}

#[test]
fn a_short_requested_pause_does_not_shorten_the_backoff() {
    let now = Instant::now();
    let mut machine = machine(100, false, now);
    let (_receipt, _) = offer(&mut machine, 1, None, now);
    let number = publish(&mut machine, None, now);
    drop(machine.record(number, retry(Some(Duration::from_nanos(1))), None, now));
    let Step::Wait(Some(until)) = machine.step(None, now) else {
        panic!("the machine must wait");
    };
    assert!(until >= now + Duration::from_millis(10), "{:?}", until - now);
}

#[test]
fn a_batch_without_room_waits_until_the_timeout_and_then_drops_the_oldest_one() {
    let now = Instant::now();
    let mut machine = machine(4, false, now);
    let (first, placed) = offer(&mut machine, 4, None, now);
    assert!(matches!(placed, Placed::Done(_)));
    let (second, placed) = offer(&mut machine, 1, None, now);
    let Placed::Waits(mut ticket) = placed else {
        panic!("the queue must be full");
    };
    let waiting = batch(1);
    let (until, _) = machine.enter(&waiting, &mut ticket, now, None, now);
    assert_eq!(until, Some(now + seconds(1)));
    let later = now + seconds(1);
    assert_eq!(machine.wait_expired(now, later).room, Room::All);
    let (until, effects) = machine.enter(&waiting, &mut ticket, now, None, later);
    assert!(until.is_none() && ticket.is_none());
    drop(effects);
    assert_eq!((first.known(), second.known()), (Some(Outcome::Dropped), None));
    // From now on no submitter waits.
    let (_, placed) = offer(&mut machine, 4, None, later);
    assert!(matches!(placed, Placed::Done(_)));
}

#[test]
fn batches_without_room_in_memory_are_stored() {
    let now = Instant::now();
    let mut machine = machine(4, true, now);
    let storage = MemoryStorage::new(SpoolMode::Overflow, 1);
    for _ in 0..2 {
        let (_receipt, placed) = offer(&mut machine, 4, Some(&storage), now);
        assert!(matches!(placed, Placed::Done(_)));
    }
    assert_eq!(storage.stored.borrow().len(), 1);
    // The storage is full: the third batch waits, and nothing is lost.
    let (_receipt, placed) = offer(&mut machine, 4, Some(&storage), now);
    assert!(matches!(placed, Placed::Waits(Some(_))));
    assert_eq!(machine.counts.dropped_samples, 0);
}

#[test]
fn a_stop_stores_the_remaining_batches_and_counts_the_rest() {
    let now = Instant::now();
    let mut machine = machine(10, true, now);
    let storage = MemoryStorage::new(SpoolMode::Overflow, 0);
    let (receipt, _) = offer(&mut machine, 4, Some(&storage), now);
    drop(machine.drain(now + seconds(5), Some(&storage), now));
    let (until, rest, _) = machine.take_remaining(now).unwrap();
    assert_eq!((until, rest.len()), (now + seconds(5), 1));
    let (left, effects) = machine.stop(|| rest).unwrap();
    drop(effects);
    assert_eq!((left.samples, left.batches), (4, 1));
    assert_eq!(receipt.known(), Some(Outcome::Dropped));
    assert!(machine.stop(Vec::new).is_none() && machine.take_remaining(now).is_none());
    // Late batches are counted as dropped.
    let (late, placed) = offer(&mut machine, 1, Some(&storage), now);
    drop(placed);
    assert_eq!(late.known(), Some(Outcome::Dropped));
    assert_eq!(machine.counts.dropped_samples, 5);
}

#[test]
fn a_new_publisher_publishes_in_flight_batches_again() {
    let now = Instant::now();
    let mut machine = machine(10, false, now);
    let (_receipt, _) = offer(&mut machine, 4, None, now);
    let number = publish(&mut machine, None, now);
    let other = Target::new(
        Arc::new(PendingPublisher {
            stores: false,
            follows: false,
        }),
        "other:".to_owned(),
    );
    let (swapped, effects) = machine.update(other, 10, now);
    assert!(swapped.is_some() && effects.work);
    let until = now + seconds(5);
    assert!(matches!(machine.step(None, now), Step::Wait(Some(wait)) if wait == until));
    assert!(matches!(machine.step(None, until), Step::Swap(..)));
    assert_eq!(publish(&mut machine, None, until), number);
    assert_eq!(machine.view(None, until).url_shown, "other:");
}

#[test]
fn the_end_of_a_run_waits_for_its_batches_and_delays_the_next() {
    let now = Instant::now();
    let mut machine = following(100, false, now);
    let (first, second) = (run(1), run(2));
    let _first = offer_of(&mut machine, &first, None, now);
    let _second = offer_of(&mut machine, &second, None, now);
    let number = publish(&mut machine, None, now);
    end(&mut machine, &first);
    assert_eq!(next_run_end(&mut machine, None, now), None);
    drop(machine.record(number, PublishResult::Accepted(Accepted::all()), None, now));
    assert_eq!(next_run_end(&mut machine, None, now), Some(1));
    // While a run hook is in progress, nothing is published.
    assert!(matches!(machine.step(None, now), Step::Wait(None)));
    assert!(machine.run_end_handled(true).events.is_empty());
    publish(&mut machine, None, now);
    // A failed run hook is logged once.
    assert!(matches!(
        machine.run_end_handled(false).events[..],
        [Event::RunHookFailed]
    ));
    assert!(machine.run_end_handled(false).events.is_empty());
}

#[test]
fn a_stored_batch_is_settled() {
    let now = Instant::now();
    let mut machine = following(4, true, now);
    let storage = MemoryStorage::new(SpoolMode::Overflow, 1);
    let (first, second) = (run(1), run(2));
    let _first = offer_of(&mut machine, &first, Some(&storage), now);
    let _second = offer_of(&mut machine, &second, Some(&storage), now);
    end(&mut machine, &first);
    end(&mut machine, &second);
    assert_eq!(storage.stored.borrow().len(), 1);
    assert_eq!(next_run_end(&mut machine, Some(&storage), now), Some(1));
    drop(machine.run_end_handled(true));
    assert_eq!(next_run_end(&mut machine, Some(&storage), now), None);
}

#[test]
fn a_stop_waits_for_run_ends_that_can_be_reported() {
    let now = Instant::now();
    let mut machine = following(4, false, now);
    end(&mut machine, &run(1));
    drop(machine.drain(now + seconds(5), None, now));
    assert_eq!(next_run_end(&mut machine, None, now), Some(1));
    assert!(matches!(machine.step(None, now), Step::Wait(Some(_))));
    drop(machine.run_end_handled(true));
    assert!(matches!(machine.step(None, now), Step::End(_)));
}
