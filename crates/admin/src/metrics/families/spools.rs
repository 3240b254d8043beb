//! The spools of the publishers that have one.

use std::fmt;

use nephoscope_notifier::spool::SpoolStatus;

use crate::metrics::family::{BaseUnit, Family, Kind, Series};
use crate::metrics::snapshot::Snapshot;

const PUBLISHER: &[&str] = &["publisher"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_spool_size",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Bytes that a publisher's spool takes on the disk",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.bytes),
    },
    Family {
        name: "nephoscope_spool_limit",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Bytes that a publisher's spool may take; beyond that its oldest samples are dropped",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.max_bytes),
    },
    Family {
        name: "nephoscope_spool_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Samples in a publisher's spool, those under way included",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.samples),
    },
    Family {
        name: "nephoscope_spool_batches",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Batches in a publisher's spool, those under way included",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.batches),
    },
    Family {
        name: "nephoscope_spool_kept_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Samples in a publisher's spool that stay there, since the publisher does not take their encoding",
        read: |snapshot, series| {
            spools(snapshot, series, |spool| {
                spool.kept().map(|held| held.samples).sum()
            })
        },
    },
    Family {
        name: "nephoscope_spool_oldest",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "About how long ago the oldest sample in a publisher's spool was stored; 0 when it is empty",
        read: |snapshot, series| {
            let now = snapshot.scheduler.now.as_millis();
            of_spools(snapshot).try_for_each(|(name, spool)| {
                let age = spool.oldest.map_or(0, |time| now.saturating_sub(time).max(0));
                series.amount(&[name], age as f64 / 1e3)
            })
        },
    },
    Family {
        name: "nephoscope_spool_failing",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "1 while a publisher's spool takes nothing: the disk is full, or fails",
        read: |snapshot, series| {
            of_spools(snapshot).try_for_each(|(name, spool)| series.flag(&[name], spool.failing.is_some()))
        },
    },
    Family {
        name: "nephoscope_spool_recovered_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that a publisher's spool held when it was opened",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.recovered_samples),
    },
    Family {
        name: "nephoscope_spool_stored_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that were stored in a publisher's spool",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.stored_samples),
    },
    Family {
        name: "nephoscope_spool_dropped_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that were dropped from a publisher's spool, at its bounds of size and age or by hand",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.counts.dropped_samples),
    },
    Family {
        name: "nephoscope_spool_lost_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that a publisher's spool could not read any more: damaged, or missing",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.counts.lost_samples),
    },
    Family {
        name: "nephoscope_spool_damaged",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Places at which a publisher's spool was damaged or something was missing",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.counts.damaged),
    },
    Family {
        name: "nephoscope_spool_torn",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Bytes that a crash had left at the end of a publisher's spool, cut off when it was opened",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.counts.torn_bytes),
    },
    Family {
        name: "nephoscope_spool_failed_syncs",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Syncs of a publisher's spool that failed: what they covered does not count as stored",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.failed_syncs),
    },
    Family {
        name: "nephoscope_quarantine_batches",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Batches in a publisher's quarantine: refused for good, and set aside with the reason",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.quarantine.batches),
    },
    Family {
        name: "nephoscope_quarantine_size",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Bytes of a publisher's quarantine",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.quarantine.bytes),
    },
    Family {
        name: "nephoscope_quarantine_lost_batches",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Batches that were refused for good and are not in a publisher's quarantine any more, or never were",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.quarantine.lost),
    },
];

fn spools(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&SpoolStatus) -> u64) -> fmt::Result {
    of_spools(snapshot).try_for_each(|(name, spool)| series.count(&[name], value(spool)))
}

/// The spools, by the names of their publishers.
fn of_spools(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &SpoolStatus)> {
    snapshot
        .publishers
        .iter()
        .filter_map(|publisher| Some((&*publisher.name, publisher.spool.as_ref()?)))
}
