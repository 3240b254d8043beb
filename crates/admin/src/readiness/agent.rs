//! Reasons of the agent as a whole: its phase, scheduler, configuration and state folder.

use crate::readiness::{Facts, Reason, ReasonCode, reason};
use crate::state::Phase;

impl Facts {
    pub(super) fn agent(&self, reasons: &mut Vec<Reason>) {
        match self.phase {
            Phase::Starting => reasons.push(reason(ReasonCode::Starting, "no configuration is applied yet")),
            Phase::Stopping => reasons.push(reason(ReasonCode::Stopping, "the agent is stopping")),
            Phase::Running if self.tasks.is_empty() => {
                let text = "the configuration selects nothing that the loaded plugins can poll";
                reasons.push(reason(ReasonCode::NothingToPoll, text));
            }
            Phase::Running => {}
        }
        if self.phase != Phase::Stopping && !Self::is_alive(&self.scheduler) {
            let text = format!(
                "the scheduler has not woken up for {:.0} s",
                self.scheduler.last_tick_age_seconds
            );
            reasons.push(reason(ReasonCode::SchedulerStuck, text));
        }
        if let Some(errors) = self.rejected {
            let text = format!(
                "the configuration on disk has {errors} error(s) and is not in use; the log contains them"
            );
            reasons.push(reason(ReasonCode::ConfigurationRejected, text));
        }
        if !self.after_restart.is_empty() {
            let text = format!(
                "changed keys that require a restart: {}",
                self.after_restart.join(", ")
            );
            reasons.push(reason(ReasonCode::RestartRequired, text));
        }
        if let Some(why) = &self.state_write_error {
            let text = format!("cannot write the finished cycles to the state folder: {why}");
            reasons.push(reason(ReasonCode::StateWriteFailed, text));
        }
    }
}
