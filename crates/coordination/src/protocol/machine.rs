//! The machine: one agent's part in the protocol.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::CycleId;

use super::action::Action;
use super::division::Division;
use super::event::{Event, Now, WorkName};
use super::ids::AgentId;
use super::status::Status;
use crate::{BootTime, Unit};

/// What the machine has to know of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// `agent.id`.
    pub id: AgentId,
    /// `agent.host`, for people.
    pub host: Arc<str>,
    /// `coordination.group_prefix`: units of different prefixes are different units.
    pub group_prefix: Arc<str>,
    /// `coordination.lease_ttl`.
    pub lease_ttl: Duration,
    /// `coordination.on_loss`.
    pub on_loss: OnLoss,
}

/// What is done while etcd cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnLoss {
    /// Poll what is owned under either of the last two plans.
    Continue,
    /// Poll no shared unit.
    Pause,
}

/// Who does what in a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanAnswer {
    /// This is this agent's part, for the work without a succession. The cycle counts as begun.
    Agreed(Arc<Division>),
    /// It is not known yet: ask again after the next step of the machine.
    Wait,
    /// This agent polls nothing shared in this cycle, unless an [`Action::Begin`] comes later.
    Nothing(Nothing),
}

/// Why an agent polls nothing shared in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Nothing {
    /// It carries no unit of the schedule.
    #[error("no shared unit of the schedule")]
    NotCarried,
    /// It stops, or has left.
    #[error("the agent stops")]
    Stopping,
    /// The plan does not list it: it joined after the plan was made, or lost its membership since.
    #[error("this agent is not in the plan of the cycle")]
    NotListed,
    /// The plan is made in versions that this program does not know.
    #[error("the plan is made in a version that this program does not know")]
    UnknownVersions,
    /// There is no plan in time, and it owns nothing under the last two.
    #[error("there is no plan of the cycle, and this agent had no share in the last two")]
    NoPlan,
    /// There is no plan in time, and `on_loss` is `pause`.
    #[error("there is no plan of the cycle, and coordination.on_loss is pause")]
    Paused,
}

/// What the fence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The samples may go to the notifier.
    HandOver,
    /// They may not: others have what they are of.
    Refuse,
    /// It is not known. Give the machine an [`Event::Doubt`], ask again after each step, and after
    /// [`REQUEST_TIMEOUT`](super::REQUEST_TIMEOUT) settle it with [`Machine::unanswered`].
    Ask,
}

/// One agent's part in the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    options: Options,
}

impl Machine {
    /// An agent that carries nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Takes in what happened, and says what is to be done, in this order.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Action> {
        let (_, _) = (now, event);
        Vec::new()
    }

    /// When an [`Event::Tick`] is due next; it may be in the past. Ask again after each step.
    pub fn next_tick(&self) -> Option<BootTime> {
        None
    }

    /// Who does what in this cycle; asked at the edge or later, until the answer is not [`PlanAnswer::Wait`].
    pub fn plan(&mut self, now: Now, cycle: &CycleId) -> PlanAnswer {
        let (_, _) = (now, cycle);
        PlanAnswer::Nothing(Nothing::NotCarried)
    }

    /// The fence: whether samples of `units` that were polled in `work`, the last of them at `finished`, may go to the
    /// notifier.
    pub fn may_hand_over(
        &self,
        now: BootTime,
        work: &WorkName,
        units: &[Unit],
        finished: BootTime,
    ) -> Verdict {
        let (_, _, _, _) = (now, work, units, finished);
        Verdict::Refuse
    }

    /// The same, when an answer was waited for in vain: `on_loss` decides. Until etcd answers, nothing asks again.
    pub fn unanswered(&mut self, now: BootTime, work: &WorkName, units: &[Unit], finished: BootTime) -> bool {
        let (_, _, _, _) = (now, work, units, finished);
        self.options.on_loss == OnLoss::Continue
    }

    /// How this agent stands.
    pub fn status(&self, now: BootTime) -> Status {
        let _ = now;
        Status {
            membership: super::status::Membership::None,
            reasons: Vec::new(),
            members: 0,
            schedules: Vec::new(),
        }
    }
}
