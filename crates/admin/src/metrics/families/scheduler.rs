//! The scheduler and its clock.

use crate::metrics::family::{BaseUnit, Family, Kind};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_scheduler_since_tick",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &[],
        help: "Time since the scheduler last woke up; it does so every second, and more than three says that it is stuck",
        read: |snapshot, series| series.amount(&[], snapshot.scheduler.since_tick),
    },
    Family {
        name: "nephoscope_scheduler_restarts",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "How often what wakes the scheduler fell silent and was started anew",
        read: |snapshot, series| series.count(&[], snapshot.scheduler.restarts),
    },
    Family {
        name: "nephoscope_clock_steps",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Steps of the wall clock that were seen; a machine that slept counts too",
        read: |snapshot, series| series.count(&[], snapshot.scheduler.clock_steps),
    },
];
