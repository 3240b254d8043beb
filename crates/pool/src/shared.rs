//! The machine under its lock, and what it wants done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{Agreed, BootTime, Work, WorkId};
use nephoscope_model::{CycleId, ScheduleId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{self, WallClock};
use crate::etcd::{Health, LeaseId, Store, StoreError};
use crate::events;
use crate::options::PoolOptions;
use crate::outside::Outside;
use crate::part::Part;
use crate::protocol::{
    self, Action, Division, Event, Machine, Membership, Notice, Now, Reason, Standing, WorkName,
};
use crate::status::{Counts, MemberView, PoolStatus, Trouble};

/// Work that waits for the engine. When that much waits, the engine stands still: what comes then is given up at once, so that others
/// take it, with one ERROR each.
pub const MAX_WAITING_WORK: usize = 1_024;

/// Cycles of one schedule that can still be cut off; an older one has ended long ago.
const MAX_TOKENS: usize = 16;

/// What the engine's side and etcd's side of the backend have in common.
pub(super) struct Shared {
    pub(super) options: PoolOptions,
    pub(super) store: Store,
    core: Mutex<Core>,
    wall: Arc<dyn WallClock>,
    /// Counts the steps of the machine: who waits for an answer asks again after each.
    stepped: watch::Sender<u64>,
    /// The driver has something to do, or its next tick has changed.
    pub(super) wake: Notify,
    /// Work came for the engine.
    work: Notify,
    /// The lease is to be asked for now.
    pub(super) ask: Notify,
    /// The records have to live longer than their lease is made for.
    pub(super) longer: Notify,
    /// The agent has left the pool.
    pub(super) left: CancellationToken,
}

struct Core {
    machine: Machine,
    /// Counts the memberships and attempts at one: what an older one has to say is not heard.
    session: u64,
    requests: VecDeque<Action>,
    work: VecDeque<Work>,
    tokens: BTreeMap<ScheduleId, BTreeMap<Timestamp, CancellationToken>>,
    leases: Option<Leases>,
    /// The presence lease of the last membership, as long as it was not ended: the key of this agent may hang on it.
    former: Option<LeaseId>,
    /// The longest interval of a schedule with shared units so far.
    longest: Duration,
    acknowledged: Option<BootTime>,
    troubles: BTreeMap<Attempt, (StoreError, BootTime)>,
    health: Option<Health>,
    counts: Counts,
    outside: Outside,
}

/// The leases of a membership.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leases {
    pub(super) presence: LeaseId,
    pub(super) record: LeaseId,
}

/// What is tried with etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attempt {
    Join,
    KeepAlive,
    Watch,
    Read,
    Write,
}

impl Attempt {
    fn what(self) -> &'static str {
        match self {
            Self::Join => "join the pool",
            Self::KeepAlive => "keep the lease alive",
            Self::Watch => "watch the pool",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Shared {
    pub(super) fn new(options: PoolOptions, store: Store, wall: Arc<dyn WallClock>) -> Self {
        let core = Core {
            machine: machine(options.agent.clone()),
            session: 0,
            requests: VecDeque::new(),
            work: VecDeque::new(),
            tokens: BTreeMap::new(),
            leases: None,
            former: None,
            longest: Duration::ZERO,
            acknowledged: None,
            troubles: BTreeMap::new(),
            health: None,
            counts: Counts::default(),
            outside: Outside::default(),
        };
        Self {
            options,
            store,
            core: Mutex::new(core),
            wall,
            stepped: watch::Sender::new(0),
            wake: Notify::new(),
            work: Notify::new(),
            ask: Notify::new(),
            longer: Notify::new(),
            left: CancellationToken::new(),
        }
    }

    pub(super) fn now(&self) -> Now {
        clock::now(&*self.wall)
    }

    /// Tells the machine what happened.
    pub(super) fn step(&self, event: Event) {
        self.step_of(None, event);
    }

    /// Tells the machine what happened in a session, unless there is a newer one.
    pub(super) fn step_of(&self, session: Option<u64>, event: Event) {
        {
            let mut core = self.core.lock();
            if session.is_some_and(|session| session != core.session) {
                return;
            }
            core.take_note(&event);
            let actions = core.machine.step(self.now(), event);
            for action in actions {
                self.take(&mut core, action);
            }
        }
        self.stepped.send_modify(|steps| *steps = steps.wrapping_add(1));
        self.wake.notify_one();
    }

    fn take(&self, core: &mut Core, action: Action) {
        match action {
            Action::Begin {
                cycle,
                edge,
                interval,
            } => {
                let edge = clock::on_monotonic_clock(edge);
                self.give(
                    core,
                    Work::InProgress {
                        cycle,
                        edge,
                        interval,
                    },
                );
            }
            Action::Succeed {
                cycle,
                succession,
                until,
                units,
                division,
            } => {
                core.counts.successions += 1;
                let agreed = self.agreed(core, &cycle, division);
                let id = WorkId {
                    cycle,
                    succession: Some(succession),
                };
                let until = clock::on_monotonic_clock(until);
                self.give(
                    core,
                    Work::Succession {
                        id,
                        until,
                        units,
                        agreed,
                    },
                );
            }
            Action::Cancel(cycle) => {
                let tokens = core.tokens.get(&cycle.schedule);
                if let Some(token) = tokens.and_then(|tokens| tokens.get(&cycle.start)) {
                    token.cancel();
                }
            }
            Action::Notice(notice) => {
                core.count(&notice);
                events::notice(&notice);
            }
            Action::Join { .. } => {
                // From here on nothing of the former membership counts.
                core.session += 1;
                if let Some(leases) = core.leases.take() {
                    core.former = Some(leases.presence);
                }
                core.acknowledged = None;
                core.requests.clear();
                core.requests.push_back(action);
            }
            Action::Write { .. } | Action::Read(_) | Action::AskLease | Action::Revoke => {
                core.requests.push_back(action);
            }
        }
    }

    fn give(&self, core: &mut Core, work: Work) {
        if core.work.len() < MAX_WAITING_WORK {
            core.work.push_back(work);
            self.work.notify_one();
            return;
        }
        let Work::Succession { id, units, .. } = work else {
            return;
        };
        events::work_refused(&id.cycle.schedule);
        for unit in units {
            let work = name(&id);
            let actions = core.machine.step(self.now(), Event::GaveUp { work, unit });
            core.requests.extend(
                actions
                    .into_iter()
                    .filter(|action| matches!(action, Action::Write { .. })),
            );
        }
    }

    fn agreed(&self, core: &mut Core, cycle: &CycleId, division: Arc<Division>) -> Agreed {
        let tokens = core.tokens.entry(cycle.schedule.clone()).or_default();
        let cancelled = tokens.entry(cycle.start).or_default().clone();
        while tokens.len() > MAX_TOKENS {
            tokens.pop_first();
        }
        let plan = Arc::new(Part {
            division,
            group_prefix: self.options.agent.group_prefix.clone(),
        });
        Agreed { plan, cancelled }
    }

    /// Asks the machine something, which may make it want something done.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Machine, Now) -> T) -> T {
        let answer = question(&mut self.core.lock().machine, self.now());
        self.wake.notify_one();
        answer
    }

    /// As [`Shared::ask`], for a question whose answer is a division of `cycle`.
    pub(super) fn ask_for_part<T>(
        &self,
        cycle: &CycleId,
        question: impl FnOnce(&mut Machine, Now) -> Result<Arc<Division>, T>,
    ) -> Result<Agreed, T> {
        let mut core = self.core.lock();
        let division = question(&mut core.machine, self.now())?;
        let agreed = self.agreed(&mut core, cycle, division);
        drop(core);
        self.wake.notify_one();
        Ok(agreed)
    }

    /// For who waits until the machine knows more.
    pub(super) fn steps(&self) -> watch::Receiver<u64> {
        self.stepped.subscribe()
    }

    /// The next work for the engine. Nothing is lost when it is not waited for to the end.
    pub(super) async fn next_work(&self) -> Work {
        loop {
            let notified = self.work.notified();
            if let Some(work) = self.core.lock().work.pop_front() {
                return work;
            }
            notified.await;
        }
    }

    /// What the driver has to do next, and in which session.
    pub(super) fn next_request(&self) -> Option<(u64, Action)> {
        let mut core = self.core.lock();
        let request = core.requests.pop_front()?;
        if !matches!(request, Action::AskLease | Action::Revoke) {
            core.counts.requests += 1;
        }
        Some((core.session, request))
    }

    pub(super) fn next_tick(&self) -> Option<BootTime> {
        self.core.lock().machine.next_tick()
    }

    pub(super) fn leases(&self) -> Option<Leases> {
        self.core.lock().leases
    }

    /// The presence lease of this process' last membership, unless it was ended.
    pub(super) fn former(&self) -> Option<LeaseId> {
        self.core.lock().former
    }

    pub(super) fn former_is_ended(&self) {
        self.core.lock().former = None;
    }

    /// Takes the leases of a session, unless there is a newer one.
    pub(super) fn set_leases(&self, session: u64, leases: Leases) {
        let mut core = self.core.lock();
        if session == core.session {
            core.leases = Some(leases);
        }
    }

    /// The interval of a schedule with shared units.
    pub(super) fn interval(&self, interval: Duration) {
        let mut core = self.core.lock();
        if interval > core.longest {
            core.longest = interval;
            drop(core);
            self.longer.notify_one();
        }
    }

    /// An edge of a schedule with shared units is near. Whoever has been out of the pool for as long as a cycle takes says so, once:
    /// an operator may have to act, however well all else goes on.
    pub(super) fn edge_is_near(&self, edge: BootTime, interval: Duration) {
        let mut core = self.core.lock();
        let status = core.machine.status(BootTime::now());
        let is_outside = match &status.membership {
            Membership::Joining => true,
            Membership::Member { lease, .. } => *lease != Standing::Held,
            Membership::None | Membership::Left => false,
        };
        if !is_outside {
            core.outside = Outside::default();
            return;
        }
        if core.outside.seen(edge, interval) {
            events::left_out(status.reasons.iter().any(Reason::stops_polling));
        }
    }

    pub(super) fn longest_interval(&self) -> Duration {
        self.core.lock().longest
    }

    /// Something was tried, and this came of it.
    pub(super) fn tried<T>(&self, attempt: Attempt, result: Result<T, StoreError>) -> Option<T> {
        let mut core = self.core.lock();
        match result {
            Ok(value) => {
                // Whoever gets an answer need not try everything else to know that etcd answers. Reads are made when something is
                // missing, which may be long after the last one was denied: who can write again is told anew if it is.
                core.troubles.retain(|tried, (error, _)| {
                    let implied = attempt == Attempt::Write && *tried == Attempt::Read;
                    let stays =
                        *tried != attempt && attempt != Attempt::Join && !error.may_pass() && !implied;
                    if !stays {
                        events::over(tried.what());
                    }
                    stays
                });
                Some(value)
            }
            Err(error) => {
                core.counts.failed += 1;
                let now = BootTime::now();
                let before = core.troubles.get(&attempt);
                if before.is_none_or(|(before, _)| before.name() != error.name()) {
                    events::trouble(attempt.what(), &error);
                }
                let since = before.map_or(now, |(_, since)| *since);
                core.troubles.insert(attempt, (error, since));
                None
            }
        }
    }

    /// etcd was asked how it is.
    pub(super) fn set_health(&self, health: Health) {
        let was_filling = self.status().is_filling();
        self.core.lock().health = Some(health);
        let status = self.status();
        if status.is_filling()
            && !was_filling
            && let Some(health) = status.health
        {
            events::quota(health.database_bytes, status.quota);
        }
    }

    pub(super) fn count_fenced(&self) {
        self.core.lock().counts.fenced += 1;
    }

    pub(super) fn status(&self) -> PoolStatus {
        let core = self.core.lock();
        let now = BootTime::now();
        let troubles = core.troubles.iter().map(|(attempt, (error, since))| Trouble {
            what: attempt.what(),
            error: error.clone(),
            lasts: now.since(*since),
        });
        let told = core.health.as_ref().and_then(|health| health.quota_bytes);
        PoolStatus {
            agent: core.machine.status(now),
            troubles: troubles.collect(),
            health: core.health.clone(),
            quota: told.unwrap_or(self.options.quota),
            cluster: self.store.cluster(),
            lease_age: core.acknowledged.map(|sent| now.since(sent)),
            members: core
                .machine
                .members()
                .map(|(id, member)| MemberView::of(id, member))
                .collect(),
            counts: core.counts,
        }
    }
}

impl Core {
    fn take_note(&mut self, event: &Event) {
        match event {
            Event::KeptAlive { sent } => self.acknowledged = Some(*sent),
            Event::Session(session) => self.acknowledged = Some(session.sent),
            Event::Watched(_) => self.counts.watched += 1,
            _ => {}
        }
    }

    fn count(&mut self, notice: &Notice) {
        match notice {
            Notice::Joined(_) => {
                self.counts.joined += 1;
                self.outside = Outside::default();
            }
            Notice::LostMembership => self.counts.lost += 1,
            Notice::Cancelled(_) => self.counts.cancelled += 1,
            Notice::NoPlanInTime(_) => self.counts.without_plan += 1,
            _ => {}
        }
    }
}

#[cfg(not(feature = "model"))]
fn machine(options: protocol::Options) -> Machine {
    Machine::new(options)
}

#[cfg(feature = "model")]
fn machine(options: protocol::Options) -> Machine {
    Machine::with_rules(options, protocol::Rules::of_environment())
}

/// A work as the machine names it.
pub(super) fn name(work: &WorkId) -> WorkName {
    WorkName {
        schedule: work.cycle.schedule.clone(),
        start: work.cycle.start,
        succession: work.succession,
    }
}
