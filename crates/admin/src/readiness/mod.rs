//! Whether the agent does its work, and everything that keeps it from doing so.

mod agent;
mod code;
mod cycles;
mod plugins;
mod pool;
mod publishers;

use std::sync::Arc;

use nephoscope_notifier::PublisherStatus;
use nephoscope_polling::record::CycleRecord;
use nephoscope_polling::stats::{SchedulerStatus, SetAsideStatus, TaskStatus};
use nephoscope_pool::PoolStatus;
use serde::Serialize;

use crate::state::Phase;

pub use code::{ReasonCode, Weight};

/// A scheduler that is alive wakes up every second. One that did not for this long, in seconds, starts no cycles on time.
const STUCK: f64 = 5.0;

/// Whether the agent does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    /// Due resources are polled, and samples find somebody who takes them.
    pub(crate) ready: bool,
    /// What is wrong, what matters most first.
    pub(crate) reasons: Vec<Reason>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// What it is, for programs.
    pub(crate) code: ReasonCode,
    /// How much it matters.
    pub(crate) weight: Weight,
    /// What it is, for people.
    pub(crate) text: String,
}

/// What a judgement is made of.
pub(crate) struct Facts {
    pub(crate) phase: Phase,
    /// Errors of the configuration on disk, if it was not taken.
    pub(crate) rejected: Option<usize>,
    /// Keys of the configuration on disk that take effect after a restart.
    pub(crate) after_restart: Vec<&'static str>,
    /// Why finished cycles cannot be written.
    pub(crate) state_trouble: Option<String>,
    pub(crate) scheduler: SchedulerStatus,
    pub(crate) tasks: Vec<TaskStatus>,
    /// The last one of each schedule.
    pub(crate) records: Vec<Arc<CycleRecord>>,
    pub(crate) set_aside: Vec<SetAsideStatus>,
    pub(crate) publishers: Vec<PublisherStatus>,
    /// The pool, if work is shared.
    pub(crate) pool: Option<PoolStatus>,
    pub(crate) unavailable: Vec<(Arc<str>, String)>,
    /// Definitions that are set aside, each with its place and why.
    pub(crate) definitions: Vec<String>,
    /// By plugin family.
    pub(crate) hanging: Vec<HangingCalls>,
}

/// Blocking calls of a plugin family that were given up.
pub(crate) struct HangingCalls {
    pub(crate) family: Arc<str>,
    /// Those that still hang.
    pub(crate) names: Vec<String>,
    /// Whether the family may start no further ones.
    pub(crate) exhausted: bool,
}

impl Readiness {
    /// How many reasons of this code there are.
    pub(crate) fn count(&self, code: ReasonCode) -> usize {
        self.reasons.iter().filter(|reason| reason.code == code).count()
    }
}

impl Facts {
    /// Whether the scheduler lives.
    pub(crate) fn is_alive(scheduler: &SchedulerStatus) -> bool {
        scheduler.since_tick < STUCK
    }

    /// Judges.
    pub(crate) fn judge(&self) -> Readiness {
        let mut reasons = Vec::new();
        self.agent(&mut reasons);
        self.cycles(&mut reasons);
        self.publishers(&mut reasons);
        self.pool(&mut reasons);
        self.plugins(&mut reasons);
        // Stable: within a weight the order above.
        reasons.sort_by_key(|reason| reason.weight);
        Readiness {
            ready: reasons.iter().all(|reason| reason.weight != Weight::NotReady),
            reasons,
        }
    }
}

fn reason(code: ReasonCode, text: impl Into<String>) -> Reason {
    Reason {
        code,
        weight: code.weight(),
        text: text.into(),
    }
}

#[cfg(test)]
mod tests;
