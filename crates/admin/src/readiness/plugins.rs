//! Plugins that are not loaded, hang, or left calls behind.

use crate::readiness::{Facts, HangingCalls, Reason, ReasonCode, reason};

impl Facts {
    pub(super) fn plugins(&self, reasons: &mut Vec<Reason>) {
        for (plugin, why) in &self.unavailable {
            let text = format!("plugin `{plugin}` is not loaded: {why}");
            reasons.push(reason(ReasonCode::PluginUnavailable, text));
        }
        for definition in &self.definitions {
            let text = format!("a definition is set aside: {definition}");
            reasons.push(reason(ReasonCode::DefinitionSetAside, text));
        }
        for status in self.set_aside.iter().filter(|status| status.hangs) {
            let text = format!(
                "pollster `{}` ({}) hangs and is not started again",
                status.pollster, status.schedule
            );
            reasons.push(reason(ReasonCode::PollsterHangs, text));
        }
        for HangingCalls {
            family,
            names,
            exhausted,
        } in &self.hanging
        {
            if *exhausted {
                let text =
                    format!("too many calls of the family `{family}` hang: it may start no further ones");
                reasons.push(reason(ReasonCode::CallsExhausted, text));
            }
            if !names.is_empty() {
                let text = format!(
                    "calls of the family `{family}` were given up and still hang: {}",
                    names.join(", ")
                );
                reasons.push(reason(ReasonCode::CallsHang, text));
            }
        }
    }
}
