//! Reasons of the last cycle of each schedule.

use std::collections::BTreeSet;

use crate::readiness::{Facts, Reason, ReasonCode, reason};

impl Facts {
    pub(super) fn cycles(&self, reasons: &mut Vec<Reason>) {
        let mut failed = BTreeSet::new();
        for record in &self.records {
            if let Some(why) = &record.no_plan {
                let text = format!(
                    "the last cycle ({}) did not poll shared resources: {why}",
                    record.schedule
                );
                reasons.push(reason(ReasonCode::NoPlan, text));
            }
            for listing in &record.discovery_runs {
                if let Some(failure) = &listing.failure
                    && failure.is_error()
                    && failed.insert(&listing.discovery)
                {
                    let text = format!(
                        "the last run of discovery {} failed: {}",
                        listing.discovery, failure.message
                    );
                    reasons.push(reason(ReasonCode::DiscoveryFailed, text));
                }
            }
        }
    }
}
