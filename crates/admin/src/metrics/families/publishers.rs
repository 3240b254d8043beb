//! Publishers and their queues.

use std::fmt;

use nephoscope_notifier::{Counts, PublisherState, PublisherStatus};

use crate::metrics::family::{BaseUnit, Family, Kind, Series};
use crate::metrics::snapshot::Snapshot;

const PUBLISHER: &[&str] = &["publisher"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_publisher_state",
        unit: None,
        kind: Kind::Gauge,
        labels: &["publisher", "state"],
        help: "1 for the state that the publisher is in",
        read: |snapshot, series| {
            snapshot.publishers.iter().try_for_each(|publisher| {
                let is = state_word(&publisher.state);
                STATES
                    .iter()
                    .try_for_each(|state| series.flag(&[&publisher.name, state], *state == is))
            })
        },
    },
    Family {
        name: "nephoscope_publisher_queued_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Samples that wait in memory for a publisher, those under way included",
        read: |snapshot, series| publishers(snapshot, series, |publisher| wide(publisher.queued_samples)),
    },
    Family {
        name: "nephoscope_publisher_queue_limit_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "How many samples may wait in memory for a publisher; above it the oldest go to its spool, or are dropped without one",
        read: |snapshot, series| publishers(snapshot, series, |publisher| wide(publisher.bound)),
    },
    Family {
        name: "nephoscope_publisher_oldest",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "How long the oldest waiting sample has waited; 0 when none waits",
        read: |snapshot, series| {
            snapshot.publishers.iter().try_for_each(|publisher| {
                let oldest = publisher.oldest.unwrap_or_default();
                series.amount(&[&publisher.name], oldest.as_secs_f64())
            })
        },
    },
    Family {
        name: "nephoscope_notifier_filtered_samples",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Samples and events that no publisher takes, by what the publishers select",
        read: |snapshot, series| series.count(&[], snapshot.filtered),
    },
    Family {
        name: "nephoscope_publisher_submitted_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that cycles handed over for a publisher; at every moment submitted + recovered by the spool = delivered + dropped + refused + queued + in the spool",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.submitted_samples),
    },
    Family {
        name: "nephoscope_publisher_delivered_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that a publisher has delivered",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.delivered_samples),
    },
    Family {
        name: "nephoscope_publisher_dropped_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that were lost: the queue or the spool was full, the spool was damaged, or the publisher was stopped",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.dropped_samples),
    },
    Family {
        name: "nephoscope_publisher_refused_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that were lost because the other side refused them for good",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.refused_samples),
    },
    Family {
        name: "nephoscope_publisher_retries",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Deliveries that failed and are tried again, timeouts and panics included",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.retries),
    },
    Family {
        name: "nephoscope_publisher_timeouts",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Deliveries that had no answer in time",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.timeouts),
    },
    Family {
        name: "nephoscope_publisher_panics",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Deliveries in which the publisher panicked: a defect of the plugin",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.panics),
    },
];

/// The words for what a publisher is doing.
const STATES: [&str; 6] = ["idle", "delivering", "retrying", "blocked", "draining", "stopped"];

/// The word for what a publisher is doing, in metrics and in the admin API.
pub(crate) fn state_word(state: &PublisherState) -> &'static str {
    match state {
        PublisherState::Idle => "idle",
        PublisherState::Delivering => "delivering",
        PublisherState::Retrying { .. } => "retrying",
        PublisherState::Blocked { .. } => "blocked",
        PublisherState::Draining { .. } => "draining",
        PublisherState::Stopped => "stopped",
    }
}

fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

fn publishers(
    snapshot: &Snapshot,
    series: &mut Series<'_>,
    value: fn(&PublisherStatus) -> u64,
) -> fmt::Result {
    snapshot
        .publishers
        .iter()
        .try_for_each(|publisher| series.count(&[&publisher.name], value(publisher)))
}

fn counts(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&Counts) -> u64) -> fmt::Result {
    snapshot
        .publishers
        .iter()
        .try_for_each(|publisher| series.count(&[&publisher.name], value(&publisher.counts)))
}
