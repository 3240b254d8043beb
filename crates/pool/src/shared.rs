//! The machine behind its lock, and its pending actions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{Assignment, BootTime, Work, WorkId};
use nephoscope_model::{CycleId, ScheduleId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{self, WallClock};
use crate::division_plan::DivisionPlan;
use crate::etcd::{Health, LeaseId, Store, StoreError};
use crate::events;
use crate::options::PoolOptions;
use crate::outside::Outside;
use crate::protocol::{
    self, Action, Division, Event, LeaseState, Machine, Membership, Notice, Now, Reason, WorkName,
};
use crate::status::{Counts, EtcdFailure, MemberView, PoolStatus};

/// The maximum length of the engine's work queue. If it is full, the engine hangs: further work is given up at once, so
/// that other agents take over, with one ERROR each.
pub const MAX_QUEUED_WORK: usize = 1_024;

/// The maximum number of cancellable cycles per schedule; older ones have ended.
const MAX_TOKENS: usize = 16;

/// The state that the engine's side and etcd's side of the backend share.
pub(super) struct Shared {
    pub(super) options: PoolOptions,
    pub(super) store: Store,
    core: Mutex<Core>,
    wall: Arc<dyn WallClock>,
    /// Counts the machine's steps: a waiting caller asks again after each.
    stepped: watch::Sender<u64>,
    /// The driver has a request, or its next tick has changed.
    pub(super) wake: Notify,
    /// The engine has new work.
    work: Notify,
    /// The presence lease must be renewed now.
    pub(super) renew_lease: Notify,
    /// The records need a lease with a longer TTL.
    pub(super) extend_records: Notify,
    /// The agent has left the pool.
    pub(super) left: CancellationToken,
}

struct Core {
    machine: Machine,
    /// Counts the sessions: events of older ones are ignored.
    session: u64,
    requests: VecDeque<Action>,
    work: VecDeque<Work>,
    tokens: BTreeMap<ScheduleId, BTreeMap<Timestamp, CancellationToken>>,
    leases: Option<Leases>,
    /// The presence lease of the last membership until it is revoked: this agent's key may be attached to it.
    former: Option<LeaseId>,
    /// The longest interval of a schedule with shared units so far.
    longest: Duration,
    acknowledged: Option<BootTime>,
    failures: BTreeMap<Operation, (StoreError, BootTime)>,
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

/// An operation on etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Join,
    KeepAlive,
    Watch,
    Read,
    Write,
}

impl Operation {
    fn describe(self) -> &'static str {
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
            failures: BTreeMap::new(),
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
            renew_lease: Notify::new(),
            extend_records: Notify::new(),
            left: CancellationToken::new(),
        }
    }

    pub(super) fn now(&self) -> Now {
        clock::now(&*self.wall)
    }

    /// Processes an event.
    pub(super) fn step(&self, event: Event) {
        self.step_of(None, event);
    }

    /// Processes an event of a session, unless there is a newer one.
    pub(super) fn step_of(&self, session: Option<u64>, event: Event) {
        {
            let mut core = self.core.lock();
            if session.is_some_and(|session| session != core.session) {
                return;
            }
            core.track(&event);
            let actions = core.machine.step(self.now(), event);
            for action in actions {
                self.perform(&mut core, action);
            }
        }
        self.stepped.send_modify(|steps| *steps = steps.wrapping_add(1));
        self.wake.notify_one();
    }

    fn perform(&self, core: &mut Core, action: Action) {
        match action {
            Action::Begin {
                cycle,
                edge,
                interval,
            } => {
                let edge = clock::on_monotonic_clock(edge);
                self.queue_work(
                    core,
                    Work::InProgress {
                        cycle,
                        edge,
                        interval,
                    },
                );
            }
            Action::TakeOver {
                cycle,
                takeover,
                until,
                units,
                division,
            } => {
                core.counts.takeovers += 1;
                let assignment = self.assignment(core, &cycle, division);
                let id = WorkId {
                    cycle,
                    takeover: Some(takeover),
                };
                let until = clock::on_monotonic_clock(until);
                self.queue_work(
                    core,
                    Work::Takeover {
                        id,
                        until,
                        units,
                        assignment,
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
                // From here on the previous membership is void.
                core.session += 1;
                if let Some(leases) = core.leases.take() {
                    core.former = Some(leases.presence);
                }
                core.acknowledged = None;
                core.requests.clear();
                core.requests.push_back(action);
            }
            Action::Write { .. } | Action::Read(_) | Action::RenewLease | Action::Revoke => {
                core.requests.push_back(action);
            }
        }
    }

    fn queue_work(&self, core: &mut Core, work: Work) {
        if core.work.len() < MAX_QUEUED_WORK {
            core.work.push_back(work);
            self.work.notify_one();
            return;
        }
        let Work::Takeover { id, units, .. } = work else {
            return;
        };
        events::work_queue_full(&id.cycle.schedule);
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

    fn assignment(&self, core: &mut Core, cycle: &CycleId, division: Arc<Division>) -> Assignment {
        let tokens = core.tokens.entry(cycle.schedule.clone()).or_default();
        let cancelled = tokens.entry(cycle.start).or_default().clone();
        while tokens.len() > MAX_TOKENS {
            tokens.pop_first();
        }
        let plan = Arc::new(DivisionPlan {
            division,
            group_prefix: self.options.agent.group_prefix.clone(),
        });
        Assignment { plan, cancelled }
    }

    /// Queries the machine, which may cause new actions.
    pub(super) fn query<T>(&self, query: impl FnOnce(&mut Machine, Now) -> T) -> T {
        let answer = query(&mut self.core.lock().machine, self.now());
        self.wake.notify_one();
        answer
    }

    /// As [`Shared::query`], for a query that returns a division of `cycle`.
    pub(super) fn query_assignment<T>(
        &self,
        cycle: &CycleId,
        query: impl FnOnce(&mut Machine, Now) -> Result<Arc<Division>, T>,
    ) -> Result<Assignment, T> {
        let mut core = self.core.lock();
        let division = query(&mut core.machine, self.now())?;
        let assignment = self.assignment(&mut core, cycle, division);
        drop(core);
        self.wake.notify_one();
        Ok(assignment)
    }

    /// Returns a receiver that is notified after each step of the machine.
    pub(super) fn steps(&self) -> watch::Receiver<u64> {
        self.stepped.subscribe()
    }

    /// Waits for the engine's next work. Cancel safe.
    pub(super) async fn next_work(&self) -> Work {
        loop {
            let notified = self.work.notified();
            if let Some(work) = self.core.lock().work.pop_front() {
                return work;
            }
            notified.await;
        }
    }

    /// Returns the driver's next request and its session.
    pub(super) fn next_request(&self) -> Option<(u64, Action)> {
        let mut core = self.core.lock();
        let request = core.requests.pop_front()?;
        if !matches!(request, Action::RenewLease | Action::Revoke) {
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

    /// Returns the presence lease of this process's last membership, unless it was revoked.
    pub(super) fn former(&self) -> Option<LeaseId> {
        self.core.lock().former
    }

    pub(super) fn clear_former(&self) {
        self.core.lock().former = None;
    }

    /// Stores the leases of a session, unless there is a newer one.
    pub(super) fn set_leases(&self, session: u64, leases: Leases) {
        let mut core = self.core.lock();
        if session == core.session {
            core.leases = Some(leases);
        }
    }

    /// Records the interval of a schedule with shared units.
    pub(super) fn record_interval(&self, interval: Duration) {
        let mut core = self.core.lock();
        if interval > core.longest {
            core.longest = interval;
            drop(core);
            self.extend_records.notify_one();
        }
    }

    /// Records that an edge of a schedule with shared units is near. An agent that was outside of the pool for a whole
    /// cycle logs an ERROR, once: an operator may have to act, even if polling continues.
    pub(super) fn edge_is_near(&self, edge: BootTime, interval: Duration) {
        let mut core = self.core.lock();
        let status = core.machine.status(BootTime::now());
        let is_outside = match &status.membership {
            Membership::Joining => true,
            Membership::Member { lease, .. } => *lease != LeaseState::Confirmed,
            Membership::None | Membership::Left => false,
        };
        if !is_outside {
            core.outside = Outside::default();
            return;
        }
        if core.outside.seen(edge, interval) {
            events::outside_for_a_cycle(status.reasons.iter().any(Reason::stops_polling));
        }
    }

    pub(super) fn longest_interval(&self) -> Duration {
        self.core.lock().longest
    }

    /// Records the result of an operation.
    pub(super) fn record_result<T>(&self, operation: Operation, result: Result<T, StoreError>) -> Option<T> {
        let mut core = self.core.lock();
        match result {
            Ok(value) => {
                // Any success shows that etcd answers. Reads happen only when something is missing, possibly long after the
                // last one was denied: a successful write clears a denied read, which is reported again if it recurs.
                core.failures.retain(|failing, (error, _)| {
                    let implied = operation == Operation::Write && *failing == Operation::Read;
                    let still_fails = *failing != operation
                        && operation != Operation::Join
                        && !error.may_pass()
                        && !implied;
                    if !still_fails {
                        events::etcd_recovered(failing.describe());
                    }
                    still_fails
                });
                Some(value)
            }
            Err(error) => {
                core.counts.failed += 1;
                let now = BootTime::now();
                let before = core.failures.get(&operation);
                if before.is_none_or(|(before, _)| before.name() != error.name()) {
                    events::etcd_failed(operation.describe(), &error);
                }
                let since = before.map_or(now, |(_, since)| *since);
                core.failures.insert(operation, (error, since));
                None
            }
        }
    }

    /// Records the health of etcd.
    pub(super) fn set_health(&self, health: Health) {
        let was_low = self.status().is_quota_low();
        self.core.lock().health = Some(health);
        let status = self.status();
        if status.is_quota_low()
            && !was_low
            && let Some(health) = status.health
        {
            events::quota_low(health.database_bytes, status.quota);
        }
    }

    pub(super) fn count_fenced(&self) {
        self.core.lock().counts.fenced += 1;
    }

    pub(super) fn status(&self) -> PoolStatus {
        let core = self.core.lock();
        let now = BootTime::now();
        let failures = core
            .failures
            .iter()
            .map(|(operation, (error, since))| EtcdFailure {
                operation: operation.describe(),
                error: error.clone(),
                duration: now.since(*since),
            });
        let reported = core.health.as_ref().and_then(|health| health.quota_bytes);
        PoolStatus {
            agent: core.machine.status(now),
            failures: failures.collect(),
            health: core.health.clone(),
            quota: reported.unwrap_or(self.options.quota),
            cluster: self.store.cluster(),
            lease_age: core.acknowledged.map(|sent| now.since(sent)),
            members: core
                .machine
                .members()
                .map(|(id, member)| MemberView::of(id, member))
                .collect(),
            counts: core.counts,
            request_durations: self.store.request_durations(),
        }
    }
}

impl Core {
    fn track(&mut self, event: &Event) {
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

/// Converts the id of a work item to the machine's name.
pub(super) fn name(work: &WorkId) -> WorkName {
    WorkName {
        schedule: work.cycle.schedule.clone(),
        start: work.cycle.start,
        takeover: work.takeover,
    }
}
