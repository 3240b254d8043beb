//! Metrics of publishers and their queues.

use std::fmt;

use nephoscope_notifier::{Counts, PublisherState, PublisherStatus};

use crate::metrics::family::{BaseUnit, Family, Kind, Series, Stability};
use crate::metrics::snapshot::Snapshot;

const PUBLISHER: &[&str] = &["publisher"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_publisher_state",
        unit: None,
        kind: Kind::Gauge,
        labels: &["publisher", "state"],
        stability: Stability::Stable,
        help: "1 for the current state of the publisher, 0 for the other states",
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
        stability: Stability::Stable,
        help: "Samples in the memory queue of a publisher, including those in flight",
        read: |snapshot, series| publishers(snapshot, series, |publisher| wide(publisher.queued_samples)),
    },
    Family {
        name: "nephoscope_publisher_queue_limit_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Maximum number of samples in the memory queue; above it the oldest samples move to the spool, or are dropped without a spool",
        read: |snapshot, series| publishers(snapshot, series, |publisher| wide(publisher.bound)),
    },
    Family {
        name: "nephoscope_publisher_queue_oldest_age",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Age of the oldest sample in the memory queue; 0 if the queue is empty",
        read: |snapshot, series| {
            snapshot.publishers.iter().try_for_each(|publisher| {
                let oldest = publisher.oldest_age.unwrap_or_default();
                series.amount(&[&publisher.name], oldest.as_secs_f64())
            })
        },
    },
    Family {
        name: "nephoscope_notifier_filtered_samples",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Stable,
        help: "Samples and events that no publisher selects",
        read: |snapshot, series| series.count(&[], snapshot.filtered),
    },
    Family {
        name: "nephoscope_publisher_submitted_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that cycles submitted to a publisher; at any time submitted + recovered from the spool = delivered + dropped + rejected + queued + in the spool",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.submitted_samples),
    },
    Family {
        name: "nephoscope_publisher_delivered_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that a publisher delivered",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.delivered_samples),
    },
    Family {
        name: "nephoscope_publisher_dropped_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that were lost because the queue or the spool was full, the spool was corrupt, or the publisher was stopped",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.dropped_samples),
    },
    Family {
        name: "nephoscope_publisher_rejected_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that were lost because the receiver permanently rejected them",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.rejected_samples),
    },
    Family {
        name: "nephoscope_publisher_retries",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Delivery attempts that failed and are retried, including timeouts and panics",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.retries),
    },
    Family {
        name: "nephoscope_publisher_timeouts",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Delivery attempts without a response in time",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.timeouts),
    },
    Family {
        name: "nephoscope_publisher_panics",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Delivery attempts in which the publisher panicked, which is a defect of the plugin",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.panics),
    },
    Family {
        name: "nephoscope_publish_duration",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Histogram,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Duration of delivery attempts, including failed attempts",
        read: |snapshot, series| {
            snapshot
                .publishers
                .iter()
                .try_for_each(|publisher| series.histogram(&[&publisher.name], &publisher.publish_durations))
        },
    },
];

/// The names of publisher states.
const STATES: [&str; 6] = ["idle", "delivering", "retrying", "blocked", "draining", "stopped"];

/// Returns the name of a publisher state for metrics and the admin API.
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
