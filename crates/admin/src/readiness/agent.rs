//! The agent as a whole: its phase, its scheduler, its configuration, its state folder.

use crate::readiness::{Facts, Reason, ReasonCode, reason};
use crate::state::Phase;

impl Facts {
    pub(super) fn agent(&self, reasons: &mut Vec<Reason>) {
        match self.phase {
            Phase::Starting => reasons.push(reason(ReasonCode::Starting, "no configuration is applied yet")),
            Phase::Stopping => reasons.push(reason(ReasonCode::Stopping, "the agent is stopping")),
            Phase::Running if self.tasks.is_empty() => {
                let text = "the configuration asks for nothing that the loaded plugins can poll";
                reasons.push(reason(ReasonCode::NothingToPoll, text));
            }
            Phase::Running => {}
        }
        if self.phase != Phase::Stopping && !Self::is_alive(&self.scheduler) {
            let text = format!(
                "the scheduler did not wake up for {:.0} s",
                self.scheduler.since_tick
            );
            reasons.push(reason(ReasonCode::SchedulerStuck, text));
        }
        if let Some(errors) = self.rejected {
            let text = format!(
                "the configuration on disk has {errors} error(s) and is not in use; the log names them"
            );
            reasons.push(reason(ReasonCode::ConfigurationRejected, text));
        }
        if !self.after_restart.is_empty() {
            let text = format!(
                "changed keys that take effect after a restart: {}",
                self.after_restart.join(", ")
            );
            reasons.push(reason(ReasonCode::RestartNeeded, text));
        }
        if let Some(why) = &self.state_trouble {
            let text = format!("which cycles are finished could not be written to the state folder: {why}");
            reasons.push(reason(ReasonCode::StateNotWritten, text));
        }
    }
}
