//! Metrics of discoveries.

use std::fmt;

use nephoscope_polling::stats::DiscoveryTotals;

use crate::metrics::family::{BaseUnit, Family, Kind, Series, Stability};
use crate::metrics::snapshot::Snapshot;

const DISCOVERY: &[&str] = &["discovery"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_discovery_runs",
        unit: None,
        kind: Kind::Counter,
        labels: DISCOVERY,
        stability: Stability::Stable,
        help: "Runs of a discovery URL",
        read: |snapshot, series| discoveries(snapshot, series, |totals| totals.runs),
    },
    Family {
        name: "nephoscope_discovery_failures",
        unit: None,
        kind: Kind::Counter,
        labels: DISCOVERY,
        stability: Stability::Stable,
        help: "Runs of a discovery URL that failed",
        read: |snapshot, series| discoveries(snapshot, series, |totals| totals.failures),
    },
    Family {
        name: "nephoscope_discovery_resources",
        unit: None,
        kind: Kind::Gauge,
        labels: DISCOVERY,
        stability: Stability::Stable,
        help: "Resources that the last run of a discovery URL returned",
        read: |snapshot, series| discoveries(snapshot, series, |totals| totals.resources),
    },
    Family {
        name: "nephoscope_discovery_duration",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Histogram,
        labels: DISCOVERY,
        stability: Stability::Stable,
        help: "Duration of runs of a discovery URL",
        read: |snapshot, series| {
            snapshot
                .listings
                .iter()
                .try_for_each(|(discovery, totals)| series.histogram(&[discovery], &totals.durations))
        },
    },
];

fn discoveries(
    snapshot: &Snapshot,
    series: &mut Series<'_>,
    value: fn(&DiscoveryTotals) -> u64,
) -> fmt::Result {
    snapshot
        .listings
        .iter()
        .try_for_each(|(discovery, totals)| series.count(&[discovery], value(totals)))
}
