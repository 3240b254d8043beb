//! Metrics of cycles, by schedule.

use std::fmt;

use nephoscope_polling::stats::TaskStatus;

use crate::metrics::family::{BaseUnit, Family, Kind, Series, Stability};
use crate::metrics::snapshot::Snapshot;

const SCHEDULE: &[&str] = &["schedule"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_cycles",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        stability: Stability::Stable,
        help: "Cycles that have ended",
        read: |snapshot, series| tasks(snapshot, series, |task| task.cycles),
    },
    Family {
        name: "nephoscope_takeovers",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        stability: Stability::Stable,
        help: "Parts of cycles that this agent polled in place of another agent",
        read: |snapshot, series| tasks(snapshot, series, |task| task.takeovers),
    },
    Family {
        name: "nephoscope_cycles_overrun",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        stability: Stability::Stable,
        help: "Cycles that were skipped because the previous cycle was still running",
        read: |snapshot, series| tasks(snapshot, series, |task| task.overruns),
    },
    Family {
        name: "nephoscope_cycles_missed",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        stability: Stability::Stable,
        help: "Cycles that were skipped because the clock stepped forward or the process was stopped",
        read: |snapshot, series| tasks(snapshot, series, |task| task.missed),
    },
    Family {
        name: "nephoscope_cycles_repeated",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        stability: Stability::Stable,
        help: "Cycles that ran twice because the clock stepped back by more than their interval",
        read: |snapshot, series| tasks(snapshot, series, |task| task.repeated),
    },
    Family {
        name: "nephoscope_cycle_running",
        unit: None,
        kind: Kind::Gauge,
        labels: SCHEDULE,
        stability: Stability::Stable,
        help: "1 while a cycle runs",
        read: |snapshot, series| tasks(snapshot, series, |task| u64::from(task.running)),
    },
    Family {
        name: "nephoscope_cycle_lateness",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Histogram,
        labels: SCHEDULE,
        stability: Stability::Stable,
        help: "Delay between the scheduled and the actual start of cycles",
        read: |snapshot, series| {
            snapshot
                .tasks
                .iter()
                .try_for_each(|task| series.histogram(&[&task.schedule], &task.lateness))
        },
    },
    Family {
        name: "nephoscope_cycle_duration",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Histogram,
        labels: SCHEDULE,
        stability: Stability::Stable,
        help: "Duration of cycles, until all polls have ended and the notifier has their samples",
        read: |snapshot, series| {
            snapshot
                .tasks
                .iter()
                .try_for_each(|task| series.histogram(&[&task.schedule], &task.durations))
        },
    },
];

fn tasks(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&TaskStatus) -> u64) -> fmt::Result {
    snapshot
        .tasks
        .iter()
        .try_for_each(|task| series.count(&[&task.schedule], value(task)))
}
