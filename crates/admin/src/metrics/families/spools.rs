//! Metrics of the publishers' spools.

use std::fmt;

use nephoscope_notifier::spool::SpoolStatus;

use crate::metrics::family::{BaseUnit, Family, Kind, Series, Stability};
use crate::metrics::snapshot::Snapshot;

const PUBLISHER: &[&str] = &["publisher"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_spool_size",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Size of a publisher's spool on disk",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.bytes),
    },
    Family {
        name: "nephoscope_spool_limit",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Maximum size of a publisher's spool; above it the oldest samples are dropped",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.max_bytes),
    },
    Family {
        name: "nephoscope_spool_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples in a publisher's spool, including those in flight",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.samples),
    },
    Family {
        name: "nephoscope_spool_batches",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Batches in a publisher's spool, including those in flight",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.batches),
    },
    Family {
        name: "nephoscope_spool_unsupported_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that stay in a publisher's spool because the publisher does not support their encoding",
        read: |snapshot, series| {
            spools(snapshot, series, |spool| {
                spool.unsupported().map(|held| held.samples).sum()
            })
        },
    },
    Family {
        name: "nephoscope_spool_oldest_age",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Approximate age of the oldest sample in a publisher's spool; 0 if the spool is empty",
        read: |snapshot, series| {
            let now = snapshot.scheduler.now.as_millis();
            of_spools(snapshot).try_for_each(|(name, spool)| {
                let age = spool
                    .oldest_time
                    .map_or(0, |time| now.saturating_sub(time).max(0));
                series.amount(&[name], age as f64 / 1e3)
            })
        },
    },
    Family {
        name: "nephoscope_spool_failing",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "1 while a publisher's spool accepts no samples because the disk is full or fails",
        read: |snapshot, series| {
            of_spools(snapshot).try_for_each(|(name, spool)| series.flag(&[name], spool.failing.is_some()))
        },
    },
    Family {
        name: "nephoscope_spool_recovered_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that a publisher's spool contained when it was opened",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.recovered_samples),
    },
    Family {
        name: "nephoscope_spool_stored_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that were stored in a publisher's spool",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.stored_samples),
    },
    Family {
        name: "nephoscope_spool_dropped_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that were dropped from a publisher's spool, at its limits of size and age or manually",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.counts.dropped_samples),
    },
    Family {
        name: "nephoscope_spool_lost_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Samples that a publisher's spool could not read because they were corrupt or missing",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.counts.lost_samples),
    },
    Family {
        name: "nephoscope_spool_corrupt",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Corrupt or missing sections found in a publisher's spool",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.counts.corrupt),
    },
    Family {
        name: "nephoscope_spool_truncated",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Bytes that were truncated from the end of a publisher's spool when it was opened after a crash",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.counts.truncated_bytes),
    },
    Family {
        name: "nephoscope_spool_sync_failures",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Failed syncs of a publisher's spool; the samples of a failed sync do not count as stored",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.sync_failures),
    },
    Family {
        name: "nephoscope_dead_letter_batches",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Permanently rejected batches in a publisher's dead-letter store",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.dead_letter.batches),
    },
    Family {
        name: "nephoscope_dead_letter_size",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Size of a publisher's dead-letter store",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.dead_letter.bytes),
    },
    Family {
        name: "nephoscope_dead_letter_lost_batches",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        stability: Stability::Stable,
        help: "Permanently rejected batches that a publisher's dead-letter store dropped or could not store",
        read: |snapshot, series| spools(snapshot, series, |spool| spool.dead_letter.lost),
    },
];

fn spools(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&SpoolStatus) -> u64) -> fmt::Result {
    of_spools(snapshot).try_for_each(|(name, spool)| series.count(&[name], value(spool)))
}

/// Returns the spools with the names of their publishers.
fn of_spools(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &SpoolStatus)> {
    snapshot
        .publishers
        .iter()
        .filter_map(|publisher| Some((&*publisher.name, publisher.spool.as_ref()?)))
}
