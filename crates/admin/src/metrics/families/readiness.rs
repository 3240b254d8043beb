//! Metrics of the readiness of the agent.

use crate::metrics::family::{Family, Kind, Stability};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_ready",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        stability: Stability::Stable,
        help: "1 while /readyz returns 200",
        read: |snapshot, series| series.size(&[], usize::from(snapshot.ready)),
    },
    Family {
        name: "nephoscope_readiness_reasons",
        unit: None,
        kind: Kind::Gauge,
        labels: &["code"],
        stability: Stability::Stable,
        help: "Number of reasons of each code at /readyz, including reasons that leave the agent ready",
        read: |snapshot, series| {
            snapshot
                .reasons
                .iter()
                .try_for_each(|(code, count)| series.size(&[code], *count))
        },
    },
];
