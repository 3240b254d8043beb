//! What discoveries list.

use std::fmt;

use nephoscope_polling::stats::ListingTotals;

use crate::metrics::family::{Family, Kind, Series};
use crate::metrics::snapshot::Snapshot;

const LISTING: &[&str] = &["listing"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_listings",
        unit: None,
        kind: Kind::Counter,
        labels: LISTING,
        help: "How often a discovery URL or a list of resources was listed",
        read: |snapshot, series| listings(snapshot, series, |totals| totals.runs),
    },
    Family {
        name: "nephoscope_listing_failures",
        unit: None,
        kind: Kind::Counter,
        labels: LISTING,
        help: "Listings that failed",
        read: |snapshot, series| listings(snapshot, series, |totals| totals.failures),
    },
    Family {
        name: "nephoscope_listing_resources",
        unit: None,
        kind: Kind::Gauge,
        labels: LISTING,
        help: "Resources that the last listing gave",
        read: |snapshot, series| listings(snapshot, series, |totals| totals.resources),
    },
];

fn listings(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&ListingTotals) -> u64) -> fmt::Result {
    snapshot
        .listings
        .iter()
        .try_for_each(|(listing, totals)| series.count(&[listing], value(totals)))
}
