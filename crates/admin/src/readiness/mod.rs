//! The readiness of the agent, with reasons.

mod agent;
mod code;
mod cycles;
mod plugins;
mod pool;
mod publishers;

use std::sync::Arc;

use nephoscope_notifier::PublisherStatus;
use nephoscope_polling::record::CycleRecord;
use nephoscope_polling::stats::{BackedOffStatus, SchedulerStatus, TaskStatus};
use nephoscope_pool::PoolStatus;
use serde::Serialize;

use crate::state::Phase;

pub use code::{ReasonCode, Severity};

/// The limit in seconds for the time since the scheduler's last wakeup. A healthy scheduler wakes up every second.
const STUCK: f64 = 5.0;

/// The readiness of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    /// Whether due resources are polled and a publisher or spool accepts samples.
    pub(crate) ready: bool,
    /// The reasons, the most severe first.
    pub(crate) reasons: Vec<Reason>,
}

/// A problem of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// The code for programs.
    pub(crate) code: ReasonCode,
    /// The severity.
    pub(crate) severity: Severity,
    /// The description for people.
    pub(crate) text: String,
}

/// The inputs of the readiness.
pub(crate) struct Facts {
    pub(crate) phase: Phase,
    /// The number of errors in the configuration on disk, if it was rejected.
    pub(crate) rejected: Option<usize>,
    /// Changed keys of the configuration on disk that require a restart.
    pub(crate) after_restart: Vec<&'static str>,
    /// The error of the last write to the state folder.
    pub(crate) state_write_error: Option<String>,
    pub(crate) scheduler: SchedulerStatus,
    pub(crate) tasks: Vec<TaskStatus>,
    /// The last record of each schedule.
    pub(crate) records: Vec<Arc<CycleRecord>>,
    pub(crate) backed_off: Vec<BackedOffStatus>,
    pub(crate) publishers: Vec<PublisherStatus>,
    /// The pool, if work is shared.
    pub(crate) pool: Option<PoolStatus>,
    pub(crate) unavailable: Vec<(Arc<str>, String)>,
    /// Rejected definitions, each with its location and error.
    pub(crate) definitions: Vec<String>,
    /// Hung calls by plugin family.
    pub(crate) hung_calls: Vec<HungCalls>,
}

/// Blocking calls of a plugin family that are running after their deadline.
pub(crate) struct HungCalls {
    pub(crate) family: Arc<str>,
    /// The names of the calls.
    pub(crate) names: Vec<String>,
    /// Whether the family starts no more calls.
    pub(crate) exhausted: bool,
}

impl Readiness {
    /// Returns the number of reasons with this code.
    pub(crate) fn count(&self, code: ReasonCode) -> usize {
        self.reasons.iter().filter(|reason| reason.code == code).count()
    }
}

impl Facts {
    /// Returns whether the scheduler wakes up.
    pub(crate) fn is_alive(scheduler: &SchedulerStatus) -> bool {
        scheduler.last_tick_age_seconds < STUCK
    }

    /// Evaluates the readiness.
    pub(crate) fn evaluate(&self) -> Readiness {
        let mut reasons = Vec::new();
        self.agent(&mut reasons);
        self.cycles(&mut reasons);
        self.publishers(&mut reasons);
        self.pool(&mut reasons);
        self.plugins(&mut reasons);
        // The sort is stable: within a severity, the order above remains.
        reasons.sort_by_key(|reason| reason.severity);
        Readiness {
            ready: reasons.iter().all(|reason| reason.severity != Severity::NotReady),
            reasons,
        }
    }
}

fn reason(code: ReasonCode, text: impl Into<String>) -> Reason {
    Reason {
        code,
        severity: code.severity(),
        text: text.into(),
    }
}

#[cfg(test)]
mod tests;
