//! Cycles, by schedule.

use std::fmt;

use nephoscope_polling::stats::TaskStatus;

use crate::metrics::family::{BaseUnit, Family, Kind, Series};
use crate::metrics::snapshot::Snapshot;

const SCHEDULE: &[&str] = &["schedule"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_cycles",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Cycles that have ended",
        read: |snapshot, series| tasks(snapshot, series, |task| task.cycles),
    },
    Family {
        name: "nephoscope_takeovers",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Parts of cycles that were polled because another agent had left them undone",
        read: |snapshot, series| tasks(snapshot, series, |task| task.takeovers),
    },
    Family {
        name: "nephoscope_cycles_overrun",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Cycles that were skipped because the one before still ran",
        read: |snapshot, series| tasks(snapshot, series, |task| task.overruns),
    },
    Family {
        name: "nephoscope_cycles_missed",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Cycles that were passed over because the clock went forward or the process was stopped",
        read: |snapshot, series| tasks(snapshot, series, |task| task.missed),
    },
    Family {
        name: "nephoscope_cycles_repeated",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Cycles that ran again because the clock went back by more than their interval",
        read: |snapshot, series| tasks(snapshot, series, |task| task.repeated),
    },
    Family {
        name: "nephoscope_cycle_running",
        unit: None,
        kind: Kind::Gauge,
        labels: SCHEDULE,
        help: "1 while a cycle runs",
        read: |snapshot, series| tasks(snapshot, series, |task| u64::from(task.running)),
    },
    Family {
        name: "nephoscope_cycle_lateness",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Histogram,
        labels: SCHEDULE,
        help: "How late cycles started",
        read: |snapshot, series| {
            snapshot
                .tasks
                .iter()
                .try_for_each(|task| series.histogram(&[&task.schedule], &task.lateness))
        },
    },
    Family {
        name: "nephoscope_cycle_last_duration",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: SCHEDULE,
        help: "How long the last cycle took, until its polls had ended and their samples were handed over",
        read: |snapshot, series| {
            snapshot
                .tasks
                .iter()
                .filter_map(|task| Some((task, task.last_duration?)))
                .try_for_each(|(task, duration)| series.amount(&[&task.schedule], duration))
        },
    },
];

fn tasks(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&TaskStatus) -> u64) -> fmt::Result {
    snapshot
        .tasks
        .iter()
        .try_for_each(|task| series.count(&[&task.schedule], value(task)))
}
