//! Reasons of plugins: not loaded, hung, or with hung calls.

use crate::readiness::{Facts, HungCalls, Reason, ReasonCode, reason};

impl Facts {
    pub(super) fn plugins(&self, reasons: &mut Vec<Reason>) {
        for (plugin, why) in &self.unavailable {
            let text = format!("plugin `{plugin}` is not loaded: {why}");
            reasons.push(reason(ReasonCode::PluginUnavailable, text));
        }
        for definition in &self.definitions {
            let text = format!("a definition is rejected: {definition}");
            reasons.push(reason(ReasonCode::DefinitionRejected, text));
        }
        for status in self.backed_off.iter().filter(|status| status.hung) {
            let text = format!(
                "pollster `{}` ({}) hangs and is not started again",
                status.pollster, status.schedule
            );
            reasons.push(reason(ReasonCode::PollsterHung, text));
        }
        for HungCalls {
            family,
            names,
            exhausted,
        } in &self.hung_calls
        {
            if *exhausted {
                let text = format!("too many calls of the family `{family}` hang: it starts no more calls");
                reasons.push(reason(ReasonCode::HungCallsLimit, text));
            }
            if !names.is_empty() {
                let text = format!(
                    "calls of the family `{family}` are running after their deadline: {}",
                    names.join(", ")
                );
                reasons.push(reason(ReasonCode::HungCalls, text));
            }
        }
    }
}
