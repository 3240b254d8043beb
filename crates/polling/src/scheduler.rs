//! Starts cycles on time: exact on the monotonic clock, aligned to the wall clock.
//!
//! The scheduler keeps the next edge of every entry by wall time. A [`Ticker`] wakes it once a second; edges that
//! come within the next two seconds are *armed*: translated to the monotonic clock, and started from there as
//! exactly as the machine can ([`Alarm`](crate::alarm::Alarm)). So a clock that is slewed is followed within a second, and a clock that is stepped cannot make an
//! armed edge run twice or not at all.
//!
//! | the wall clock | what happens |
//! | --- | --- |
//! | goes back by less than an interval | the edges that ran already are passed over: no cycle is repeated |
//! | goes back by more | cycles run on the new clock; those whose identity was there before are counted as repeated |
//! | goes forward (a step, or the machine slept) | the cycle in progress is run if half of its interval is left, or anything at all where other agents count on it; edges passed over are counted as missed |
//! | either, by an interval or more | one ERROR |

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nephoscope_model::{CycleId, ScheduleId, Timestamp};
use nephoscope_sources::Schedule;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::events;
use crate::margin::margin;
use crate::ticker::Ticker;

/// Edges this close are armed. Ticks come every second; a late one must not let an edge slip by unarmed.
const HORIZON: Duration = Duration::from_millis(2100);

/// Without a tick for this long, the ticker is restarted.
const TICK_WATCH: Duration = Duration::from_millis(2600);

/// A difference between the clocks that changes by more than this between two looks is a step.
const STEP: Duration = Duration::from_millis(500);

/// Commands that wait for the scheduler; each caller waits for its answer, so few are ever there.
const COMMANDS: usize = 4;

/// How long a caller waits for the scheduler, which does nothing that takes long.
const ANSWER: Duration = Duration::from_secs(10);

/// A cycle that is to start now.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its identity.
    pub cycle: CycleId,
    /// Where its nominal start lies on the monotonic clock, without any delay.
    pub edge: Instant,
    /// When it was to start: the edge and the entry's delay. `None` for a cycle in progress that is run when
    /// the agent starts, which is no lateness.
    pub due: Option<Instant>,
    /// From its edge to the next.
    pub interval: Duration,
}

/// What a cycle has left to do once it has begun.
pub type Remainder = Box<dyn FnOnce() + Send>;

/// Is told which cycle comes, where its nominal start lies on the monotonic clock, and how long it is to the next.
pub type Prepare = Arc<dyn Fn(&CycleId, Instant, Duration) + Send + Sync>;

/// What the scheduler starts.
pub struct Entry {
    /// When.
    pub schedule: Schedule,
    /// How long after each edge.
    pub delay: Duration,
    /// Whether the cycle in progress is run at once, if half of its interval is left.
    pub begin_in_progress: bool,
    /// Whether other agents count on each cycle: one that begins late is run as long as anything of it is left, not only if
    /// half of its interval is.
    pub expected: bool,
    /// What is counted of the schedule.
    pub counters: Arc<ScheduleCounters>,
    /// Called when an edge is armed, up to two seconds before it, for those who prepare something; must not wait.
    pub prepare: Option<Prepare>,
    /// Called at each start; must not wait, and does as little as can be. What it gives is called when all
    /// entries that are due have been started: so a thousand on one edge begin before the first of them works.
    pub start: Arc<dyn Fn(Start) -> Option<Remainder> + Send + Sync>,
}

impl Entry {
    /// How late a cycle of this interval may begin.
    fn latest(&self, interval: Duration) -> Duration {
        if self.expected {
            interval - margin(interval)
        } else {
            interval / 2
        }
    }
}

/// What the scheduler has counted of one schedule.
#[derive(Debug, Default)]
pub struct ScheduleCounters {
    /// Edges that were passed over: the clock went forward, or the process was stopped.
    pub missed: AtomicU64,
    /// Cycles whose identity had run before: the clock went back by more than an interval.
    pub repeated: AtomicU64,
}

/// A handle on the running scheduler.
#[derive(Clone)]
pub struct Scheduler {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

struct Shared {
    last_tick: Mutex<Instant>,
    next: Mutex<HashMap<ScheduleId, Timestamp>>,
    steps: AtomicU64,
    restarts: AtomicU64,
}

enum Command {
    /// Replaces all entries; those of a schedule that stays keep their state.
    Set {
        entries: Vec<Entry>,
        done: oneshot::Sender<()>,
    },
    /// Removes one entry.
    Remove {
        schedule: ScheduleId,
        done: oneshot::Sender<()>,
    },
}

impl Scheduler {
    /// Starts the scheduler; it runs until `stop` is cancelled.
    pub fn start(
        clock: Arc<dyn Clock>,
        ticker: impl Ticker,
        stop: CancellationToken,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared {
            last_tick: Mutex::new(clock.monotonic()),
            next: Mutex::default(),
            steps: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
        });
        let offset = offset(clock.as_ref());
        let actor = Actor {
            clock,
            shared: shared.clone(),
            entries: HashMap::new(),
            waiting: BinaryHeap::new(),
            armed: BinaryHeap::new(),
            begun: Vec::new(),
            offset,
        };
        runtime.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = actor.run(receiver, ticker) => {}
            }
        });
        Self { commands, shared }
    }

    /// Replaces all entries. Those whose schedule was there before keep their place: they neither miss nor
    /// repeat a cycle.
    pub async fn set(&self, entries: Vec<Entry>) {
        let (done, answer) = oneshot::channel();
        self.ask(Command::Set { entries, done }, answer).await;
    }

    /// Removes the entry of a schedule.
    pub async fn remove(&self, schedule: ScheduleId) {
        let (done, answer) = oneshot::channel();
        self.ask(Command::Remove { schedule, done }, answer).await;
    }

    async fn ask(&self, command: Command, answer: oneshot::Receiver<()>) {
        if self.commands.send(command).await.is_ok() {
            // Nothing is lost if the answer is late: the command is in the queue.
            let _ = timeout(ANSWER, answer).await;
        }
    }

    /// When the last wake-up came; a scheduler that is alive has one every second.
    pub fn last_tick(&self) -> Instant {
        *self.shared.last_tick.lock()
    }

    /// The next edge of a schedule, for people.
    pub fn next(&self, schedule: &ScheduleId) -> Option<Timestamp> {
        self.shared.next.lock().get(schedule).copied()
    }

    /// How many steps of the wall clock were seen.
    pub fn clock_steps(&self) -> u64 {
        self.shared.steps.load(Ordering::Relaxed)
    }

    /// How often the ticker fell silent and was restarted.
    pub fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }
}

struct Actor {
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    entries: HashMap<ScheduleId, State>,
    /// Entries by the wall time at which they are due; one that does not agree with its entry is stale.
    waiting: BinaryHeap<Reverse<(Timestamp, ScheduleId)>>,
    /// Armed starts by monotonic time.
    armed: BinaryHeap<Reverse<(Instant, ScheduleId)>>,
    /// What the cycles that have begun have left to do.
    begun: Vec<Remainder>,
    /// Wall time minus monotonic time, in microseconds.
    offset: i64,
}

struct State {
    entry: Entry,
    /// The next edge, and when it is due on the monotonic clock once it is armed.
    next: Option<Timestamp>,
    armed: Option<Instant>,
    /// The edge that ran last, and the difference of the clocks then.
    last: Option<(Timestamp, i64)>,
    /// The first edge that ran, and the greatest: what lies between has run before.
    ran: Option<(Timestamp, Timestamp)>,
}

impl Actor {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut ticker: impl Ticker) {
        let mut watch = self.clock.monotonic() + TICK_WATCH;
        let alarm = self.clock.alarm();
        loop {
            let due = self.armed.peek().map(|Reverse((due, _))| *due);
            tokio::select! {
                biased;
                () = alarm.until(due.unwrap_or(watch)), if due.is_some() => {}
                command = commands.recv() => match command {
                    Some(Command::Set { entries, done }) => {
                        self.set(entries);
                        self.go_on();
                        let _ = done.send(());
                    }
                    Some(Command::Remove { schedule, done }) => {
                        // What waits for it in the heaps is stale from now on.
                        self.entries.remove(&schedule);
                        self.shared.next.lock().remove(&schedule);
                        let _ = done.send(());
                    }
                    None => return,
                },
                () = ticker.tick() => watch = self.ticked(),
                () = sleep_until(watch) => {
                    self.shared.restarts.fetch_add(1, Ordering::Relaxed);
                    events::ticker_silent();
                    watch = self.ticked();
                    ticker.restart();
                }
            }
            self.look_at_clocks();
            self.fire();
            self.arm();
            self.go_on();
        }
    }

    /// Lets the cycles that have begun do their work.
    fn go_on(&mut self) {
        for remainder in self.begun.drain(..) {
            remainder();
        }
    }

    fn ticked(&self) -> Instant {
        let now = self.clock.monotonic();
        *self.shared.last_tick.lock() = now;
        now + TICK_WATCH
    }

    fn set(&mut self, entries: Vec<Entry>) {
        let mut old = std::mem::take(&mut self.entries);
        let now = self.clock.wall();
        for entry in entries {
            let id = entry.schedule.id().clone();
            let state = match old.remove(&id) {
                Some(mut state) => {
                    let same_delay = state.entry.delay == entry.delay;
                    state.entry = entry;
                    if !same_delay {
                        state.armed = None;
                    }
                    state
                }
                None => self.begin(entry, now),
            };
            self.entries.insert(id, state);
        }
        self.rebuild();
    }

    /// A new entry: the cycle in progress is started at once where that is wanted.
    fn begin(&mut self, entry: Entry, now: Timestamp) -> State {
        let mut state = State {
            entry,
            next: None,
            armed: None,
            last: None,
            ran: None,
        };
        if state.entry.begin_in_progress
            && let Some(edge) = state.entry.schedule.edge_at_or_before(now)
        {
            let interval = state.entry.schedule.interval_from(edge);
            let passed = between(edge, now);
            if passed <= interval / 2 {
                let monotonic = self.clock.monotonic();
                self.start(
                    &mut state,
                    edge,
                    monotonic.checked_sub(passed).unwrap_or(monotonic),
                    None,
                );
            }
        }
        state
    }

    /// Finds a changed difference between the clocks, and begins anew from the new wall time.
    fn look_at_clocks(&mut self) {
        let offset = offset(self.clock.as_ref());
        let change = offset - std::mem::replace(&mut self.offset, offset);
        if change.unsigned_abs() < STEP.as_micros().try_into().unwrap_or(u64::MAX) {
            return;
        }
        self.shared.steps.fetch_add(1, Ordering::Relaxed);
        let shortest = self
            .entries
            .values()
            .filter_map(|state| state.next.map(|next| state.entry.schedule.interval_from(next)));
        let large = shortest
            .min()
            .is_some_and(|shortest| change.unsigned_abs() >= micros(shortest).unsigned_abs());
        events::clock_stepped(change, large);
        // Armed starts stay: they are at most two seconds away, and were right when they were armed. All
        // others are worked out from the new time (a machine that slept has armed ones in the past).
        self.rebuild();
    }

    /// Works out the next edge of every entry that is not armed.
    fn rebuild(&mut self) {
        let now = self.clock.wall();
        self.waiting.clear();
        let mut armed = BinaryHeap::new();
        for (id, state) in &mut self.entries {
            if let Some(due) = state.armed {
                armed.push(Reverse((due, id.clone())));
                continue;
            }
            Self::plan(state, now, self.offset);
            if let Some(next) = state.next {
                self.waiting
                    .push(Reverse((later(next, state.entry.delay), id.clone())));
            }
        }
        self.armed = armed;
        let next = self
            .entries
            .iter()
            .filter_map(|(id, state)| Some((id.clone(), state.next?)))
            .collect();
        *self.shared.next.lock() = next;
    }

    /// The edge that `state` waits for, as its last one and the clocks say.
    fn plan(state: &mut State, now: Timestamp, offset: i64) {
        let schedule = &state.entry.schedule;
        let passed = earlier(now, state.entry.delay);
        // An edge that was planned and has passed since is looked at by `arm`, which may still run it.
        if let Some(next) = state.next
            && next <= passed
            && state.last.is_none_or(|(last, _)| last < next)
        {
            return;
        }
        let mut candidate = schedule.edge_after(passed);
        if let (Some(edge), Some((last, offset_then))) = (candidate, state.last)
            && edge <= last
        {
            let back = offset_then - offset;
            if back < micros(schedule.interval_from(last)) {
                candidate = schedule.edge_after(last);
            }
        }
        state.next = candidate;
    }

    /// Arms what is due soon; starts or counts what has passed.
    fn arm(&mut self) {
        loop {
            let wall = self.clock.wall();
            let monotonic = self.clock.monotonic();
            let horizon = later(wall, HORIZON);
            let Some(Reverse((due, _))) = self.waiting.peek() else {
                return;
            };
            if *due > horizon {
                return;
            }
            let Some(Reverse((due, id))) = self.waiting.pop() else {
                return;
            };
            let Some(mut state) = self.entries.remove(&id) else {
                continue;
            };
            match state.next {
                Some(next) if later(next, state.entry.delay) == due => {
                    if due >= wall {
                        let instant = monotonic + between(wall, due);
                        state.armed = Some(instant);
                        if let Some(prepare) = &state.entry.prepare {
                            let schedule = &state.entry.schedule;
                            let edge = instant.checked_sub(state.entry.delay).unwrap_or(instant);
                            prepare(&schedule.cycle(next), edge, schedule.interval_from(next));
                        }
                        self.armed.push(Reverse((instant, id.clone())));
                    } else {
                        self.late(&mut state, next, wall, monotonic);
                    }
                }
                // A stale place in the heap.
                _ => {}
            }
            self.entries.insert(id, state);
        }
    }

    /// An edge has passed unarmed: the process was stopped, or the clock went forward.
    fn late(&mut self, state: &mut State, planned: Timestamp, wall: Timestamp, monotonic: Instant) {
        let schedule = state.entry.schedule.clone();
        let delay = state.entry.delay;
        let latest = schedule
            .edge_at_or_before(earlier(wall, delay))
            .unwrap_or(planned)
            .max(planned);
        let mut missed = count_edges(&schedule, planned, latest);
        let late_by = between(later(latest, delay), wall);
        if late_by <= state.entry.latest(schedule.interval_from(latest)) {
            let edge = monotonic.checked_sub(between(latest, wall)).unwrap_or(monotonic);
            self.start(state, latest, edge, Some(edge + delay));
        } else {
            missed += 1;
            state.last = Some((latest, self.offset));
        }
        if missed > 0 {
            state.entry.counters.missed.fetch_add(missed, Ordering::Relaxed);
            events::cycles_missed(&schedule, missed);
        }
        self.wait_for_next(state, wall);
    }

    /// Starts everything armed that is due, without waiting in between, and before anything else is done: what one
    /// of a thousand entries on an edge costs here, the last is late a thousand times.
    fn fire(&mut self) {
        let now = self.clock.monotonic();
        let wall = self.clock.wall();
        let mut fired = Vec::new();
        while let Some(Reverse((due, _))) = self.armed.peek() {
            if *due > now {
                break;
            }
            let Some(Reverse((due, id))) = self.armed.pop() else {
                break;
            };
            let Some(mut state) = self.entries.remove(&id) else {
                continue;
            };
            if state.armed == Some(due)
                && let Some(next) = state.next
            {
                state.armed = None;
                let behind = between(later(next, state.entry.delay), wall);
                if behind > state.entry.latest(state.entry.schedule.interval_from(next)) {
                    // The process was stopped, or the machine slept, after the edge was armed.
                    self.late(&mut state, next, wall, now);
                } else {
                    let edge = due.checked_sub(state.entry.delay).unwrap_or(due);
                    self.start(&mut state, next, edge, Some(due));
                    fired.push((id, state));
                    continue;
                }
            }
            self.entries.insert(id, state);
        }
        self.go_on();
        for (id, mut state) in fired {
            self.wait_for_next(&mut state, wall);
            self.entries.insert(id, state);
        }
    }

    fn start(&mut self, state: &mut State, start: Timestamp, edge: Instant, due: Option<Instant>) {
        let schedule = &state.entry.schedule;
        let (first, greatest) = *state.ran.get_or_insert((start, start));
        if state.last.is_some() && (first..=greatest).contains(&start) {
            state.entry.counters.repeated.fetch_add(1, Ordering::Relaxed);
        }
        state.ran = Some((first, greatest.max(start)));
        state.last = Some((start, self.offset));
        let remainder = (state.entry.start)(Start {
            cycle: schedule.cycle(start),
            edge,
            due,
            interval: schedule.interval_from(start),
        });
        self.begun.extend(remainder);
    }

    fn wait_for_next(&mut self, state: &mut State, wall: Timestamp) {
        state.next = None;
        Self::plan(state, wall, self.offset);
        let id = state.entry.schedule.id().clone();
        let mut shown = self.shared.next.lock();
        match state.next {
            Some(next) => {
                shown.insert(id.clone(), next);
                self.waiting.push(Reverse((later(next, state.entry.delay), id)));
            }
            None => {
                shown.remove(&id);
            }
        }
    }
}

/// How many edges lie from `from` (included) to `to` (not included).
fn count_edges(schedule: &Schedule, from: Timestamp, to: Timestamp) -> u64 {
    // A clock that went years forward must not make anybody count every second of them.
    const COUNTED: u64 = 100_000;
    let mut edge = from;
    let mut count = 0;
    while edge < to && count < COUNTED {
        count += 1;
        match schedule.edge_after(edge) {
            Some(next) => edge = next,
            None => break,
        }
    }
    count
}

fn offset(clock: &dyn Clock) -> i64 {
    // Any fixed instant would do: only differences count.
    static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let monotonic = clock.monotonic();
    let zero = *ZERO.get_or_init(|| monotonic);
    let since = match monotonic.checked_duration_since(zero) {
        Some(after) => micros(after),
        None => -micros(zero.duration_since(monotonic)),
    };
    clock.wall().as_micros().saturating_sub(since)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(time.as_micros().saturating_add(micros(by)))
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(time.as_micros().saturating_sub(micros(by)))
}

/// From `from` to `to`; zero if `to` is not later.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(to.as_micros().saturating_sub(from.as_micros())).unwrap_or(0))
}
