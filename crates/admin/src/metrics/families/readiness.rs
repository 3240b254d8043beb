//! Whether the agent does its work.

use crate::metrics::family::{Family, Kind};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_ready",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        help: "1 while /readyz answers 200",
        read: |snapshot, series| series.size(&[], usize::from(snapshot.ready)),
    },
    Family {
        name: "nephoscope_readiness_reasons",
        unit: None,
        kind: Kind::Gauge,
        labels: &["code"],
        help: "How many reasons of each code /readyz gives, those that leave the agent ready included",
        read: |snapshot, series| {
            snapshot
                .reasons
                .iter()
                .try_for_each(|(code, count)| series.size(&[code], *count))
        },
    },
];
