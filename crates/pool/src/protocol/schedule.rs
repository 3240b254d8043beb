//! A schedule as one agent knows it: its last plans, its cycles, and what is under way in etcd for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::BootTime;
use nephoscope_model::Timestamp;

use super::cycle::Cycle;
use super::ids::Revision;
use super::mark::GiveUps;
use super::plan::Plan;

/// How many plans are remembered: those that count while etcd cannot be asked.
const REMEMBERED: usize = 2;

/// How many cycles are kept that can still be taken over. More are only there where the interval is much shorter than the
/// lease; of the oldest of them nothing is taken over then.
pub(super) const MAX_CYCLES: usize = 64;

/// The state of one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Schedule {
    /// The last interval that is known.
    pub(super) interval: Option<Duration>,
    pub(super) cycles: BTreeMap<Timestamp, Cycle>,
    /// The last plans, the newest last.
    pub(super) plans: VecDeque<Remembered>,
    /// The plan that is being written, and the revision of the one that it is to replace.
    pub(super) writing: Option<(Arc<Plan>, Revision)>,
    /// The plan is being read.
    pub(super) reading: bool,
    pub(super) marks: Upkeep,
    /// What was given up in the cycles that are kept.
    pub(super) given_up: GiveUps,
    pub(super) give_ups: Upkeep,
    pub(super) succession: Succession,
    /// The newest cycle had no plan in time, and whether it was polled nevertheless.
    pub(super) missed: Option<bool>,
}

/// A plan that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Remembered {
    pub(super) plan: Arc<Plan>,
    /// This agent's number in it, by any incarnation of this process.
    pub(super) me: Option<usize>,
}

/// A key that is written whole whenever its value changes, one write after the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Upkeep {
    /// Since there is something to write: when it is to be written at the latest.
    pub(super) due: Option<BootTime>,
    /// A write is under way.
    pub(super) writing: bool,
}

/// What is done about members that went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Succession {
    /// Nothing.
    #[default]
    Quiet,
    /// Marks are read at this time: those that go out together are taken together.
    Gathering(BootTime),
    /// Marks are being read.
    Reading,
    /// Marks are being read, and meanwhile others went out: what is read is too old.
    ReadingAgain,
}

impl Schedule {
    /// Remembers a plan if it is newer than those that are known: of a later cycle, or, where the key came into being
    /// `anew`, of any other one.
    pub(super) fn remember(&mut self, plan: Arc<Plan>, me: Option<usize>, anew: bool) -> bool {
        let newer =
            |last: &Remembered| last.plan.start < plan.start || (anew && last.plan.start > plan.start);
        if !self.plans.back().is_none_or(newer) {
            return false;
        }
        if self.plans.len() == REMEMBERED {
            self.plans.pop_front();
        }
        self.plans.push_back(Remembered { plan, me });
        true
    }

    /// The plan of the cycle that starts at `start`.
    pub(super) fn plan_of(&self, start: Timestamp) -> Option<&Arc<Plan>> {
        let mut plans = self.plans.iter();
        plans
            .find(|known| known.plan.start == start)
            .map(|known| &known.plan)
    }
}

impl Schedule {
    /// A membership begins: nothing that was asked for before is answered any more.
    pub(super) fn forget_requests(&mut self) {
        self.writing = None;
        self.reading = false;
        self.succession = Succession::Quiet;
        self.marks = Upkeep::default();
        self.give_ups = Upkeep::default();
        // What was given up under another membership says nothing about this one.
        self.given_up = GiveUps::default();
    }
}

impl Upkeep {
    /// There is something to write: now if it was `all` of a cycle, else with what follows in the next third of it.
    pub(super) fn wanted(&mut self, now: BootTime, interval: Duration, all: bool) {
        let due = if all { now } else { now.plus(interval / 3) };
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// There is something to write now.
    pub(super) fn now(&mut self, now: BootTime) {
        self.due = Some(now);
    }

    /// A write begins.
    pub(super) fn begin(&mut self) {
        self.due = None;
        self.writing = true;
    }

    /// Whether a write is to be begun.
    pub(super) fn is_due(&self, now: BootTime) -> bool {
        !self.writing && self.due.is_some_and(|due| due <= now)
    }
}
