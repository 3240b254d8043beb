//! Reasons of publishers and their spools.

use nephoscope_notifier::spool::SpoolStatus;
use nephoscope_notifier::{PublisherState, PublisherStatus};

use crate::readiness::{Facts, Reason, ReasonCode, reason};

impl Facts {
    pub(super) fn publishers(&self, reasons: &mut Vec<Reason>) {
        // Publishers that a reload removed do not count.
        let used = || {
            self.publishers.iter().filter(|publisher| {
                !matches!(
                    publisher.state,
                    PublisherState::Draining { .. } | PublisherState::Stopped
                )
            })
        };
        let blocked = |publisher: &PublisherStatus| matches!(publisher.state, PublisherState::Blocked { .. });
        if used().next().is_some() && used().all(blocked) {
            let text = "no publisher accepts samples: their queues are full and samples are lost";
            reasons.push(reason(ReasonCode::NothingPublished, text));
        }
        for publisher in used() {
            let name = &publisher.name;
            match &publisher.state {
                PublisherState::Retrying { error, attempts, .. } => {
                    let text = format!(
                        "publisher `{name}` failed {attempts} time(s) in a row, its samples are queued: {error}"
                    );
                    reasons.push(reason(ReasonCode::PublisherRetrying, text));
                }
                PublisherState::Blocked { error, dropped, .. } => {
                    let why = error.as_deref().unwrap_or("no response");
                    let text = format!(
                        "publisher `{name}` accepts no samples, {dropped} sample(s) lost so far: {why}"
                    );
                    reasons.push(reason(ReasonCode::PublisherBlocked, text));
                }
                PublisherState::Idle
                | PublisherState::Delivering
                | PublisherState::Draining { .. }
                | PublisherState::Stopped => {}
            }
            let spool = publisher.spool.as_ref();
            if let Some(why) = spool.and_then(|spool| spool.failing.as_ref()) {
                let text = format!("the spool of publisher `{name}` accepts no samples: {why}");
                reasons.push(reason(ReasonCode::SpoolFailing, text));
            }
            if let Some(unsupported) = spool.and_then(unsupported) {
                let text = format!(
                    "the spool of publisher `{name}` contains samples in unsupported encodings: {unsupported}; configure a publisher that supports them, or drop them with `nephoscope spool`"
                );
                reasons.push(reason(ReasonCode::SpoolEncodingUnsupported, text));
            }
        }
    }
}

/// Describes the contents of a spool in unsupported encodings, if there are any.
fn unsupported(spool: &SpoolStatus) -> Option<String> {
    let unsupported: Vec<_> = spool
        .unsupported()
        .map(|held| format!("{} ({} samples)", held.contents, held.samples))
        .collect();
    (!unsupported.is_empty()).then(|| unsupported.join(", "))
}
