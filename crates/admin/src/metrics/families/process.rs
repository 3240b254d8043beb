//! Metrics of the process. They have no prefix, since dashboards expect these names from every program.

use crate::metrics::family::{BaseUnit, Family, Kind, Stability};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "process_start_time",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &[],
        stability: Stability::Stable,
        help: "Start time of the agent in seconds since 1970",
        read: |snapshot, series| series.amount(&[], snapshot.started.as_micros() as f64 / 1e6),
    },
    Family {
        name: "process_cpu",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Stable,
        help: "CPU time used by the process",
        read: |snapshot, series| series.amount(&[], snapshot.process.cpu.as_secs_f64()),
    },
    Family {
        name: "process_resident_memory",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: &[],
        stability: Stability::Stable,
        help: "Resident memory of the process",
        read: |snapshot, series| {
            snapshot
                .process
                .resident
                .map_or(Ok(()), |bytes| series.count(&[], bytes))
        },
    },
    Family {
        name: "process_open_fds",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        stability: Stability::Stable,
        help: "Open file descriptors of the process",
        read: |snapshot, series| {
            snapshot
                .process
                .open_files
                .map_or(Ok(()), |files| series.count(&[], files))
        },
    },
    Family {
        name: "nephoscope_build",
        unit: None,
        kind: Kind::Info,
        labels: &["version"],
        stability: Stability::Stable,
        help: "Version of the program",
        read: |snapshot, series| series.info(&[snapshot.version]),
    },
];
