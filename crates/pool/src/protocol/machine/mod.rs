//! The machine: one agent's part in the protocol.
//!
//! Each event updates the state; then `advance` checks everything that is due and returns actions. The order in which facts
//! become known therefore does not matter.

mod cycles;
mod fence;
mod membership;
mod planning;
mod presence;
mod records;
mod status;
mod takeover;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{BootTime, Unit};
use nephoscope_model::ScheduleId;
#[cfg(test)]
use nephoscope_model::Timestamp;

use super::action::{Action, Scope};
use super::clocks::Clocks;
use super::division::Division;
use super::event::{Event, Now, RegisteredUnits, Request, Snapshot, Written};
use super::ids::{AgentId, Incarnation, Revision, UnitHash};
use super::notice::Notice;
use super::plan::Plan;
use super::record::{Content, Entry, Key, Value};
use super::rules::Rules;
use super::schedule::Schedule;
use super::view::View;
use super::{MAX_REQUEST_TIMEOUT, MIN_ANSWER_TIMEOUT, takeover_wait};

use self::presence::{OwnKeyWrite, Presence};

/// The machine's options.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// `agent.id`.
    pub id: AgentId,
    /// `agent.host`, for people.
    pub host: Arc<str>,
    /// `coordination.group_prefix`: units with different prefixes are different units.
    pub group_prefix: Arc<str>,
    /// `coordination.lease_ttl`.
    pub lease_ttl: Duration,
    /// `coordination.request_timeout`.
    pub request_timeout: Duration,
    /// `coordination.on_loss`.
    pub on_loss: OnLoss,
}

impl Options {
    /// Returns how long this agent waits for an answer of etcd before it continues without it: at the fence, and before a
    /// takeover.
    pub fn answer_timeout(&self) -> Duration {
        self.request_timeout
            .clamp(MIN_ANSWER_TIMEOUT, MAX_REQUEST_TIMEOUT)
    }

    /// Returns how long after the edge of a cycle its plan is awaited: half of the cycle remains for polling without it.
    pub fn plan_timeout(&self, interval: Duration) -> Duration {
        self.answer_timeout().min(interval / 2).max(MIN_ANSWER_TIMEOUT)
    }

    /// Returns the time until a death is known to all members and its work is taken over.
    pub fn takeover_wait(&self) -> Duration {
        takeover_wait(self.lease_ttl, self.answer_timeout())
    }
}

/// The policy while etcd is unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnLoss {
    /// Poll the resources that are owned under either of the last two plans.
    Continue,
    /// Poll no shared unit.
    Pause,
}

/// The answer to a request for a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanAnswer {
    /// This agent's share, for the cycle's own work. The cycle is started.
    Assigned(Arc<Division>),
    /// The plan is not known yet: ask again after the next step of the machine.
    Wait,
    /// This agent polls no shared unit in this cycle, unless an [`Action::Begin`] follows.
    NoShare(NoShare),
}

/// The reason why an agent polls no shared unit in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoShare {
    /// It has no unit of the schedule.
    #[error("no shared unit of the schedule")]
    NotRegistered,
    /// It stops, or has left.
    #[error("the agent is stopping")]
    Stopping,
    /// The plan does not list it: it joined after the plan was written, or lost its membership since.
    #[error("this agent is not in the plan of the cycle")]
    NotListed,
    /// The plan is written in versions that this program does not support.
    #[error("the plan is written in a version that this program does not support")]
    UnknownVersions,
    /// There is no plan in time, and it owns no unit under the last two.
    #[error("there is no plan of the cycle, and this agent had no share in the last two")]
    NoPlan,
    /// There is no plan in time, and `on_loss` is `pause`.
    #[error("there is no plan of the cycle, and coordination.on_loss is pause")]
    Paused,
}

/// The decision of the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The samples may be sent to the notifier.
    Allow,
    /// They may not: other members have their resources.
    Reject,
    /// It is unknown. Send the machine an [`Event::ConfirmLease`], ask again after each step, and decide after
    /// [`Options::answer_timeout`] with [`Machine::unanswered`].
    Unconfirmed,
}

/// One agent's part in the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    options: Options,
    rules: Rules,
    /// The time of the last step.
    now: BootTime,

    presence: Presence,
    /// The previous incarnations of this process, the newest last.
    former: Vec<Incarnation>,
    /// The number of failed attempts to join in a row.
    attempts: u32,
    /// The host of the agent that uses this agent's id.
    duplicate_host: Option<String>,
    /// Updates of this agent's key.
    own: OwnKeyWrite,

    /// Whether etcd answers, as far as is known.
    store: bool,
    /// Whether an additional keepalive is pending.
    renewing: bool,
    /// Whether an answer at the fence timed out, and none arrived since.
    unanswered: bool,
    view: View,
    /// Whether all members are being read.
    reading_members: bool,
    /// When a member last went out of a cycle: its key disappeared, or it gave up a unit.
    last_out: BootTime,
    /// Whether a member may have gone out of a cycle since the last check.
    check_outs: bool,

    registered: BTreeMap<ScheduleId, BTreeMap<UnitHash, Unit>>,
    meters: u64,
    /// Units by their hashes: registered ones, and former ones that may still be in plans.
    units: BTreeMap<ScheduleId, BTreeMap<UnitHash, Unit>>,
    schedules: BTreeMap<ScheduleId, Schedule>,
    next_takeover: u64,
    stopping: bool,

    clocks: Clocks,
    /// The last reported state of the clock.
    clock_skew: bool,
    /// The last reported state of the configurations.
    config_mismatch: bool,
}

/// The actions of a step.
type Out = Vec<Action>;

impl Machine {
    /// Creates the machine of an agent without units.
    pub fn new(options: Options) -> Self {
        Self::with(options, Rules::ALL)
    }

    /// Creates a machine with disabled rules, for tests that must fail without them.
    #[cfg(any(test, feature = "model"))]
    pub fn with_rules(options: Options, rules: Rules) -> Self {
        Self::with(options, rules)
    }

    fn with(options: Options, rules: Rules) -> Self {
        let start = BootTime::after_boot(Duration::ZERO);
        Self {
            options,
            rules,
            now: start,
            presence: Presence::None,
            former: Vec::new(),
            attempts: 0,
            duplicate_host: None,
            own: OwnKeyWrite::default(),
            store: true,
            renewing: false,
            unanswered: false,
            view: View::default(),
            reading_members: false,
            last_out: start,
            check_outs: false,
            registered: BTreeMap::new(),
            meters: 0,
            units: BTreeMap::new(),
            schedules: BTreeMap::new(),
            next_takeover: 1,
            stopping: false,
            clocks: Clocks::default(),
            clock_skew: false,
            config_mismatch: false,
        }
    }

    /// Processes an event and returns the actions in their order.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.now = self.now.max(now.boot);
        if matches!(self.presence, Presence::Left) {
            return out;
        }
        match event {
            Event::Tick => {}
            Event::Session(session) => self.begin_membership(now, session, &mut out),
            Event::Synced(snapshot) => self.synced(now, snapshot, &mut out),
            Event::Watched(entry) => self.apply_change(now, entry, true, &mut out),
            Event::KeptAlive { sent } => self.kept_alive(sent),
            Event::LeaseGone => self.lose_membership(&mut out),
            Event::StoreLost => self.store_lost(&mut out),
            Event::Read(scope, snapshot) => self.read(now, scope, snapshot, &mut out),
            Event::Written(key, written) => self.written(now, key, written, &mut out),
            Event::Failed(request) => self.failed(now, &request, &mut out),
            Event::Register(units) => self.register(units, &mut out),
            Event::Prepare(edge) => self.prepare(edge),
            Event::Finished { work, unit } => self.finished(now, &work, &unit),
            Event::GaveUp { work, unit } => self.gave_up(now, &work, &unit),
            Event::Skipped(cycle) => self.skipped(&cycle),
            Event::ConfirmLease => self.confirm_lease(&mut out),
            Event::Stopping => self.stopping = true,
            Event::Leave => {
                self.leave(&mut out);
                return out;
            }
        }
        self.advance(now, &mut out);
        out
    }

    /// Returns the time of the next [`Event::Tick`]. Query it again after each step.
    pub fn next_tick(&self) -> Option<BootTime> {
        let schedules = self.schedules.values();
        let due = schedules.flat_map(|schedule| {
            let cycles = schedule.cycles.values().flat_map(|cycle| {
                let edge = (!cycle.read).then_some(cycle.edge.edge);
                [cycle.write_from, edge, Some(cycle.plan_deadline)]
            });
            let gathering = match schedule.takeover {
                super::schedule::TakeoverState::Gathering(until) => Some(until),
                _ => None,
            };
            cycles.chain([schedule.marks.due, schedule.give_ups.due, gathering])
        });
        let lease_end = self.lease().filter(|_| !self.store).map(super::Lease::deadline);
        due.chain([self.own.retry, lease_end])
            .flatten()
            .filter(|due| *due > self.now)
            .min()
    }

    /// Handles everything that is due.
    fn advance(&mut self, now: Now, out: &mut Out) {
        if !self.own_key_exists() {
            self.lose_membership(out);
        }
        if self.incarnation().is_some() && !self.is_cut_off(now.boot) {
            self.resolve_lost_cycles(out);
        }
        self.update_own_key(now, out);
        self.prune(now.boot);
        self.give_up_unstarted_cycles(now);
        self.write_plans(now, out);
        self.read_missing_plans(now, out);
        self.read_unknown_members(out);
        self.report_missing_plans(now, out);
        self.catch_up(now, out);
        self.take_back(now, out);
        self.start_takeovers(now, out);
        self.write_due_records(now, out);
        self.compare_clocks(out);
        self.compare_meters(out);
    }

    /// Registers this agent's units.
    fn register(&mut self, registered: RegisteredUnits, out: &mut Out) {
        let RegisteredUnits {
            units,
            meters,
            in_progress,
        } = registered;
        self.meters = meters;
        self.registered.clear();
        for unit in units {
            let hash = UnitHash::of(&self.options.group_prefix, &unit);
            let known = self.units.entry(unit.schedule.clone()).or_default();
            known.insert(hash, unit.clone());
            let registered = self.registered.entry(unit.schedule.clone()).or_default();
            registered.insert(hash, unit);
        }
        for edge in in_progress {
            self.in_progress(edge);
        }
        for schedule in self.registered.keys() {
            self.schedules.entry(schedule.clone()).or_default();
        }
        if matches!(self.presence, Presence::None) && !self.registered.is_empty() && !self.stopping {
            self.join(Duration::ZERO, out);
        }
    }

    /// A watch was interrupted and is open again.
    fn synced(&mut self, now: Now, snapshot: Snapshot, out: &mut Out) {
        self.store_restored(out);
        self.view.replace(snapshot.clone());
        self.note_possible_out(now.boot);
        for entry in &snapshot.entries {
            self.on_entry(now, entry, false, out);
        }
        self.settle_plans(snapshot.revision);
    }

    /// All members were read at `revision`: members of plans that are not newer, and that were not read, are gone.
    fn settle_plans(&mut self, revision: Revision) {
        for (name, schedule) in &self.schedules {
            if self.view.plan(name).is_some_and(|slot| slot.revision > revision) {
                continue;
            }
            for known in &schedule.plans {
                self.view.settle(&known.plan);
            }
        }
    }

    /// Reads the members if a plan lists an unknown one: it may be newer than the known state, or gone before the plan was
    /// written.
    fn read_unknown_members(&mut self, out: &mut Out) {
        if self.reading_members || !self.store || self.incarnation().is_none() {
            return;
        }
        let mut plans = self
            .schedules
            .values()
            .filter_map(|schedule| schedule.plans.back());
        let unknown = plans.any(|known| {
            known.plan.members.iter().any(|member| {
                let (id, incarnation) = (&member.id, member.incarnation);
                *id != self.options.id
                    && !self.view.holds(id, incarnation)
                    && !self.view.is_gone(id, incarnation)
            })
        });
        if unknown {
            self.reading_members = true;
            out.push(Action::Read(Scope::Members));
        }
    }

    /// Applies a change of one key.
    fn apply_change(&mut self, now: Now, entry: Entry, fresh: bool, out: &mut Out) {
        let outs = match (&entry.key, &entry.content) {
            // A new member is not out; one that returns under the same key was gone in between.
            (Key::Member(id), Content::Value(Value::Member(member))) => self
                .view
                .members()
                .any(|(known, before)| known == id && before.incarnation != member.incarnation),
            (Key::Plan(_), _) => false,
            _ => true,
        };
        if !self.view.apply(entry.clone()) {
            return;
        }
        if outs {
            self.note_possible_out(now.boot);
        }
        self.on_entry(now, &entry, fresh, out);
    }

    /// Handles the consequences of an entry that is in the view.
    fn on_entry(&mut self, now: Now, entry: &Entry, fresh: bool, out: &mut Out) {
        if let Content::Invalid(invalid) = &entry.content {
            out.push(Action::Notice(Notice::InvalidRecord(invalid.clone())));
        }
        if let Key::Plan(schedule) = &entry.key {
            self.on_plan(now, schedule, fresh, out);
        }
    }

    fn note_possible_out(&mut self, now: BootTime) {
        self.last_out = now;
        self.check_outs = true;
    }

    fn read(&mut self, now: Now, scope: Scope, snapshot: Snapshot, out: &mut Out) {
        match scope {
            Scope::Marks(schedule) => self.read_marks(now, &schedule, snapshot, out),
            Scope::Members | Scope::Plan(_) => {
                if let Scope::Plan(schedule) = &scope
                    && let Some(state) = self.schedules.get_mut(schedule)
                {
                    state.reading = false;
                }
                let (entries, revision) = (snapshot.entries.clone(), snapshot.revision);
                self.view.replace_scope(&scope, snapshot);
                for entry in entries {
                    self.on_entry(now, &entry, false, out);
                }
                if scope == Scope::Members {
                    self.reading_members = false;
                    self.settle_plans(revision);
                    self.note_possible_out(now.boot);
                }
            }
        }
    }

    fn written(&mut self, now: Now, key: Key, written: Written, out: &mut Out) {
        match key {
            Key::Member(_) => self.member_written(now, written, out),
            Key::Plan(schedule) => self.plan_written(now, &schedule, written, out),
            Key::Marks(..) | Key::GiveUps(..) => self.record_written(&key),
        }
    }

    fn failed(&mut self, now: Now, request: &Request, out: &mut Out) {
        match request {
            Request::Join => self.join_failed(out),
            Request::Write(Key::Member(_)) => self.member_write_failed(now, out),
            Request::Write(Key::Plan(schedule)) => self.plan_write_failed(now, schedule),
            Request::Write(key @ (Key::Marks(..) | Key::GiveUps(..))) => self.record_write_failed(now, key),
            Request::Read(Scope::Plan(schedule)) => {
                if let Some(state) = self.schedules.get_mut(schedule) {
                    state.reading = false;
                }
            }
            Request::Read(Scope::Marks(schedule)) => self.marks_read_failed(now, schedule),
            Request::Read(Scope::Members) => self.reading_members = false,
            Request::RenewLease => self.renewing = false,
        }
    }

    /// Returns this agent's place in a plan.
    fn place_in(&self, plan: &Plan) -> Place {
        let number = |incarnation| plan.position(&self.options.id, incarnation);
        if let Some(number) = self.incarnation().and_then(number) {
            return Place::Current(number);
        }
        let former = self.former.iter().rev().copied();
        match former.into_iter().find_map(number) {
            Some(number) => Place::Former(number),
            None => Place::None,
        }
    }
}

/// This agent's place in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Listed with its current membership, with this number.
    Current(usize),
    /// Listed with a lost membership, with this number.
    Former(usize),
    /// Not listed.
    None,
}

impl Place {
    fn number(self) -> Option<usize> {
        match self {
            Self::Current(number) | Self::Former(number) => Some(number),
            Self::None => None,
        }
    }
}

/// Queries of the model.
#[cfg(test)]
impl Machine {
    pub(in crate::protocol) fn runs_by_earlier_plans(&self, schedule: &ScheduleId, start: Timestamp) -> bool {
        let cycle = self
            .schedules
            .get(schedule)
            .and_then(|schedule| schedule.cycles.get(&start));
        cycle
            .and_then(|cycle| cycle.started())
            .is_some_and(|started| started.plan.is_none())
    }

    pub(in crate::protocol) fn has_started(&self, schedule: &ScheduleId, start: Timestamp) -> bool {
        let cycle = self
            .schedules
            .get(schedule)
            .and_then(|schedule| schedule.cycles.get(&start));
        cycle.is_some_and(|cycle| cycle.started().is_some())
    }

    pub(in crate::protocol) fn knows_cycle(&self, schedule: &ScheduleId, start: Timestamp) -> bool {
        self.schedules
            .get(schedule)
            .is_some_and(|schedule| schedule.cycles.contains_key(&start))
    }

    pub(in crate::protocol) fn membership_is_not(&self, incarnation: Incarnation) -> bool {
        self.incarnation() != Some(incarnation)
    }

    pub(in crate::protocol) fn was_unanswered(&self) -> bool {
        self.unanswered
    }

    pub(in crate::protocol) fn has_left(&self) -> bool {
        matches!(self.presence, Presence::Left)
    }
}
