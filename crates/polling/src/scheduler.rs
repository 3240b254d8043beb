//! Starts cycles on time: exact on the monotonic clock, aligned to the wall clock.
//!
//! The scheduler stores the next edge of every entry by wall time. A [`Ticker`] wakes it once a second. Edges within the next
//! two seconds are *armed*: translated to the monotonic clock, and started from there as precisely as the machine allows
//! ([`Alarm`](crate::alarm::Alarm)). So a slewed clock is followed within a second, and a stepped clock can neither repeat nor
//! skip an armed edge.
//!
//! | the wall clock | what happens |
//! | --- | --- |
//! | steps back by less than an interval | edges that have already run are skipped: no cycle is repeated |
//! | steps back by more | cycles run at the new time; cycles whose identity has run before are counted as repeated |
//! | steps forward, or the machine was suspended | the cycle in progress is run if half of its interval is left, or any time at all if other agents rely on it; skipped edges are counted as missed |
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

/// Edges this close are armed. Ticks arrive every second; the margin prevents a late tick from missing an edge.
const HORIZON: Duration = Duration::from_millis(2100);

/// The ticker is restarted after this long without a tick.
const TICK_WATCH: Duration = Duration::from_millis(2600);

/// A change of the difference between the clocks by more than this, between two checks, is a step.
const STEP: Duration = Duration::from_millis(500);

/// The capacity of the command channel. Each caller waits for its answer, so few commands are ever queued.
const COMMANDS: usize = 4;

/// How long a caller waits for the scheduler, which never blocks for long.
const ANSWER: Duration = Duration::from_secs(10);

/// A cycle that starts now.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its identity.
    pub cycle: CycleId,
    /// The nominal start on the monotonic clock, without any delay.
    pub edge: Instant,
    /// When it was due: the edge plus the entry's delay. `None` for the cycle in progress at the start of the agent, which
    /// is not late.
    pub due: Option<Instant>,
    /// The time from its edge to the next.
    pub interval: Duration,
}

/// The deferred work of a cycle that has started.
pub type Remainder = Box<dyn FnOnce() + Send>;

/// A callback for an upcoming cycle: its identity, its nominal start on the monotonic clock, and the time to the next.
pub type Prepare = Arc<dyn Fn(&CycleId, Instant, Duration) + Send + Sync>;

/// An entry of the scheduler.
pub struct Entry {
    /// The schedule.
    pub schedule: Schedule,
    /// The delay after each edge.
    pub delay: Duration,
    /// Whether the cycle in progress is run immediately if half of its interval is left.
    pub run_in_progress: bool,
    /// Whether other agents rely on each cycle. If so, a late cycle is run while any of its time is left, otherwise only while
    /// half of its interval is left.
    pub expected: bool,
    /// The counters of the schedule.
    pub counters: Arc<ScheduleCounters>,
    /// Called when an edge is armed, up to two seconds before it, for preparation; must not wait.
    pub prepare: Option<Prepare>,
    /// Called at each start; must not wait, and must be short. The returned closure is called when all entries that are due
    /// have been started, so that a thousand cycles of one edge start before the first of them does its work.
    pub start: Arc<dyn Fn(Start) -> Option<Remainder> + Send + Sync>,
}

impl Entry {
    /// The maximum lateness of a cycle with this interval.
    fn max_lateness(&self, interval: Duration) -> Duration {
        if self.expected {
            interval - margin(interval)
        } else {
            interval / 2
        }
    }
}

/// The counters of one schedule.
#[derive(Debug, Default)]
pub struct ScheduleCounters {
    /// Missed edges: the clock was stepped forward, or the process was stopped.
    pub missed: AtomicU64,
    /// Cycles whose identity had run before: the clock was stepped back by more than an interval.
    pub repeated: AtomicU64,
}

/// A handle to the running scheduler.
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
    /// Replaces all entries; a schedule that stays keeps its state.
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
            deferred: Vec::new(),
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

    /// Replaces all entries. A schedule that stays keeps its position and neither misses nor repeats a cycle.
    pub async fn set(&self, entries: Vec<Entry>) {
        let (done, answer) = oneshot::channel();
        self.send(Command::Set { entries, done }, answer).await;
    }

    /// Removes the entry of a schedule.
    pub async fn remove(&self, schedule: ScheduleId) {
        let (done, answer) = oneshot::channel();
        self.send(Command::Remove { schedule, done }, answer).await;
    }

    async fn send(&self, command: Command, answer: oneshot::Receiver<()>) {
        if self.commands.send(command).await.is_ok() {
            // A late answer loses nothing: the command is queued.
            let _ = timeout(ANSWER, answer).await;
        }
    }

    /// When the last tick arrived; a working scheduler has one every second.
    pub fn last_tick(&self) -> Instant {
        *self.shared.last_tick.lock()
    }

    /// The next edge of a schedule, for display.
    pub fn next(&self, schedule: &ScheduleId) -> Option<Timestamp> {
        self.shared.next.lock().get(schedule).copied()
    }

    /// The number of detected steps of the wall clock.
    pub fn clock_steps(&self) -> u64 {
        self.shared.steps.load(Ordering::Relaxed)
    }

    /// The number of restarts of the ticker.
    pub fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }
}

struct Actor {
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    entries: HashMap<ScheduleId, State>,
    /// Entries by the wall time at which they are due; an item that does not match its entry is stale.
    waiting: BinaryHeap<Reverse<(Timestamp, ScheduleId)>>,
    /// Armed starts by monotonic time.
    armed: BinaryHeap<Reverse<(Instant, ScheduleId)>>,
    /// The deferred work of the cycles that have started.
    deferred: Vec<Remainder>,
    /// Wall time minus monotonic time, in microseconds.
    offset: i64,
}

struct State {
    entry: Entry,
    /// The next edge, and its monotonic time once it is armed.
    next: Option<Timestamp>,
    armed: Option<Instant>,
    /// The last edge that ran, and the difference of the clocks at that time.
    last: Option<(Timestamp, i64)>,
    /// The first and the greatest edge that ran; cycles in between have run before.
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
                        self.run_deferred();
                        let _ = done.send(());
                    }
                    Some(Command::Remove { schedule, done }) => {
                        // Its items in the heaps are stale from now on.
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
            self.check_clocks();
            self.fire();
            self.arm();
            self.run_deferred();
        }
    }

    /// Runs the deferred work of the cycles that have started.
    fn run_deferred(&mut self) {
        for remainder in self.deferred.drain(..) {
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
                None => self.add(entry, now),
            };
            self.entries.insert(id, state);
        }
        self.rebuild();
    }

    /// Adds an entry, and starts its cycle in progress if requested.
    fn add(&mut self, entry: Entry, now: Timestamp) -> State {
        let mut state = State {
            entry,
            next: None,
            armed: None,
            last: None,
            ran: None,
        };
        if state.entry.run_in_progress
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

    /// Detects a step of the wall clock, and recomputes the edges from the new time.
    fn check_clocks(&mut self) {
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
        // Armed starts stay: they are at most two seconds away and were correct when they were armed. All others are
        // recomputed (after a suspend, armed starts are in the past).
        self.rebuild();
    }

    /// Computes the next edge of every entry that is not armed.
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

    /// Computes the edge that `state` waits for from its last edge and the clocks.
    fn plan(state: &mut State, now: Timestamp, offset: i64) {
        let schedule = &state.entry.schedule;
        let passed = earlier(now, state.entry.delay);
        // A planned edge that has passed is left to `arm`, which may still run it.
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

    /// Arms edges that are due soon; starts or counts edges that have passed.
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
                // A stale item.
                _ => {}
            }
            self.entries.insert(id, state);
        }
    }

    /// Handles an edge that passed unarmed: the process was stopped, or the clock was stepped forward.
    fn late(&mut self, state: &mut State, planned: Timestamp, wall: Timestamp, monotonic: Instant) {
        let schedule = state.entry.schedule.clone();
        let delay = state.entry.delay;
        let latest = schedule
            .edge_at_or_before(earlier(wall, delay))
            .unwrap_or(planned)
            .max(planned);
        let mut missed = count_edges(&schedule, planned, latest);
        let late_by = between(later(latest, delay), wall);
        if late_by <= state.entry.max_lateness(schedule.interval_from(latest)) {
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

    /// Starts everything that is armed and due, without waiting in between and before any other work: the cost of one entry
    /// here delays the last of a thousand entries a thousand times.
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
                if behind > state.entry.max_lateness(state.entry.schedule.interval_from(next)) {
                    // The process was stopped, or the machine suspended, after the edge was armed.
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
        self.run_deferred();
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
        self.deferred.extend(remainder);
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

/// Counts the edges from `from` (inclusive) to `to` (exclusive).
fn count_edges(schedule: &Schedule, from: Timestamp, to: Timestamp) -> u64 {
    // Bounds the time after a clock step of years.
    const MAX_COUNT: u64 = 100_000;
    let mut edge = from;
    let mut count = 0;
    while edge < to && count < MAX_COUNT {
        count += 1;
        match schedule.edge_after(edge) {
            Some(next) => edge = next,
            None => break,
        }
    }
    count
}

fn offset(clock: &dyn Clock) -> i64 {
    // Any fixed instant works: only differences matter.
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

/// The time from `from` to `to`; zero if `to` is not later.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(to.as_micros().saturating_sub(from.as_micros())).unwrap_or(0))
}
