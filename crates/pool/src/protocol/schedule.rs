//! An agent's state of one schedule: its last plans, its cycles, and its pending requests to etcd.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::BootTime;
use nephoscope_model::Timestamp;

use super::cycle::Cycle;
use super::ids::Revision;
use super::mark::GiveUps;
use super::plan::Plan;

/// The number of remembered plans, which are used while etcd is unreachable.
const MAX_KNOWN_PLANS: usize = 2;

/// The maximum number of cycles that can still be taken over. More exist only if the interval is much shorter than the
/// lease; then nothing is taken over in the oldest of them.
pub(super) const MAX_CYCLES: usize = 64;

/// The state of one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Schedule {
    /// The last known interval.
    pub(super) interval: Option<Duration>,
    pub(super) cycles: BTreeMap<Timestamp, Cycle>,
    /// The last plans, the newest last.
    pub(super) plans: VecDeque<KnownPlan>,
    /// The plan that is being written, and the revision of the plan that it replaces.
    pub(super) writing: Option<(Arc<Plan>, Revision)>,
    /// Whether the plan is being read.
    pub(super) reading: bool,
    pub(super) marks: PendingWrite,
    /// The units that were given up in these cycles.
    pub(super) given_up: GiveUps,
    pub(super) give_ups: PendingWrite,
    pub(super) takeover: TakeoverState,
    /// Set if the newest cycle had no plan in time: whether it was polled anyway.
    pub(super) missed: Option<bool>,
}

/// A known plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct KnownPlan {
    pub(super) plan: Arc<Plan>,
    /// This agent's number in it, by any incarnation of this process.
    pub(super) me: Option<usize>,
}

/// The pending write of a record, which is written as a whole, one write after the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct PendingWrite {
    /// The latest time of the next write, if the value has changed.
    pub(super) due: Option<BootTime>,
    /// Whether a write is pending.
    pub(super) writing: bool,
}

/// The state of a schedule's takeover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum TakeoverState {
    /// No member went out.
    #[default]
    Idle,
    /// Marks are read at this time: members that go out together are handled together.
    Gathering(BootTime),
    /// Marks are being read.
    Reading,
    /// Marks are being read, and other members went out meanwhile: the result will be outdated.
    ReadingAgain,
}

impl Schedule {
    /// Stores a plan if it is newer than the known ones: of a later cycle or, if the key was `recreated`, of any other
    /// cycle. Returns whether it was stored.
    pub(super) fn store_plan(&mut self, plan: Arc<Plan>, me: Option<usize>, recreated: bool) -> bool {
        let newer =
            |last: &KnownPlan| last.plan.start < plan.start || (recreated && last.plan.start > plan.start);
        if !self.plans.back().is_none_or(newer) {
            return false;
        }
        if self.plans.len() == MAX_KNOWN_PLANS {
            self.plans.pop_front();
        }
        self.plans.push_back(KnownPlan { plan, me });
        true
    }

    /// Returns the plan of the cycle that starts at `start`.
    pub(super) fn plan_of(&self, start: Timestamp) -> Option<&Arc<Plan>> {
        let mut plans = self.plans.iter();
        plans
            .find(|known| known.plan.start == start)
            .map(|known| &known.plan)
    }
}

impl Schedule {
    /// Starts a membership: earlier requests are not answered any more.
    pub(super) fn forget_requests(&mut self) {
        self.writing = None;
        self.reading = false;
        self.takeover = TakeoverState::Idle;
        self.marks = PendingWrite::default();
        self.give_ups = PendingWrite::default();
        // Units that were given up under another membership say nothing about this one.
        self.given_up = GiveUps::default();
    }
}

impl PendingWrite {
    /// Schedules a write: at once if the cycle is `complete`, otherwise within a third of the interval, together with later
    /// changes.
    pub(super) fn schedule(&mut self, now: BootTime, interval: Duration, complete: bool) {
        let due = if complete { now } else { now.plus(interval / 3) };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// Schedules a write at this time.
    pub(super) fn schedule_at(&mut self, at: BootTime) {
        self.due = Some(at);
    }

    /// Marks the write as started.
    pub(super) fn start(&mut self) {
        self.due = None;
        self.writing = true;
    }

    /// Returns whether a write must be started.
    pub(super) fn is_due(&self, now: BootTime) -> bool {
        !self.writing && self.due.is_some_and(|due| due <= now)
    }
}
