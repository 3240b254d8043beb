//! Publishers and their spools.

use nephoscope_notifier::spool::SpoolStatus;
use nephoscope_notifier::{PublisherState, PublisherStatus};

use crate::readiness::{Facts, Reason, ReasonCode, reason};

impl Facts {
    pub(super) fn publishers(&self, reasons: &mut Vec<Reason>) {
        // One that a reload removed no longer counts.
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
            let text = "no publisher takes samples: their queues are full and samples are lost";
            reasons.push(reason(ReasonCode::NothingPublished, text));
        }
        for publisher in used() {
            let name = &publisher.name;
            match &publisher.state {
                PublisherState::Retrying { error, attempts, .. } => {
                    let text = format!(
                        "publisher `{name}` failed {attempts} time(s) in a row, its samples wait: {error}"
                    );
                    reasons.push(reason(ReasonCode::PublisherRetrying, text));
                }
                PublisherState::Blocked { error, dropped, .. } => {
                    let why = error.as_deref().unwrap_or("it does not answer");
                    let text =
                        format!("publisher `{name}` takes nothing, {dropped} sample(s) lost so far: {why}");
                    reasons.push(reason(ReasonCode::PublisherBlocked, text));
                }
                PublisherState::Idle
                | PublisherState::Delivering
                | PublisherState::Draining { .. }
                | PublisherState::Stopped => {}
            }
            let spool = publisher.spool.as_ref();
            if let Some(why) = spool.and_then(|spool| spool.failing.as_ref()) {
                let text = format!("the spool of publisher `{name}` takes nothing: {why}");
                reasons.push(reason(ReasonCode::SpoolFailing, text));
            }
            if let Some(kept) = spool.and_then(kept) {
                let text = format!(
                    "the spool of publisher `{name}` keeps samples that it does not take: {kept}; configure a publisher that takes them, or drop them with `nephoscope spool`"
                );
                reasons.push(reason(ReasonCode::SpoolEncodingKept, text));
            }
        }
    }
}

/// What a spool keeps, if it keeps anything.
fn kept(spool: &SpoolStatus) -> Option<String> {
    let kept: Vec<_> = spool
        .kept()
        .map(|held| format!("{} ({} samples)", held.contents, held.samples))
        .collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}
