//! Metrics of the scheduler and the clock.

use crate::metrics::family::{BaseUnit, Family, Kind, Stability};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_scheduler_last_tick_age",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &[],
        stability: Stability::Experimental,
        help: "Time since the scheduler last woke up; it wakes up every second, and is stuck above three seconds",
        read: |snapshot, series| series.amount(&[], snapshot.scheduler.last_tick_age_seconds),
    },
    Family {
        name: "nephoscope_scheduler_restarts",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Experimental,
        help: "Restarts of the scheduler's timer after it stopped firing",
        read: |snapshot, series| series.count(&[], snapshot.scheduler.restarts),
    },
    Family {
        name: "nephoscope_clock_steps",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Experimental,
        help: "Steps of the wall clock that the scheduler detected, including suspends of the machine",
        read: |snapshot, series| series.count(&[], snapshot.scheduler.clock_steps),
    },
];
