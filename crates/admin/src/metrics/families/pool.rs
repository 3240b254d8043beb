//! The pool and its etcd, where work is shared.

use std::collections::BTreeMap;
use std::fmt;

use nephoscope_pool::PoolStatus;
use nephoscope_pool::protocol::Membership;

use crate::metrics::family::{BaseUnit, Family, Kind};
use crate::metrics::snapshot::Snapshot;

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_pool_members",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        help: "Members of the pool that this agent knows, itself included",
        read: |snapshot, series| pool(snapshot, |pool| series.size(&[], pool.members.len())),
    },
    Family {
        name: "nephoscope_pool_member",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        help: "1 while this agent is a member of its pool, 0 otherwise",
        read: |snapshot, series| {
            pool(snapshot, |pool| {
                let member = matches!(pool.agent.membership, Membership::Member { .. });
                series.count(&[], u64::from(member))
            })
        },
    },
    Family {
        name: "nephoscope_pool_lease_age",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &[],
        help: "Time since the keepalive was sent that etcd acknowledged last; near `coordination.lease_ttl` the lease is in doubt",
        read: |snapshot, series| {
            pool(snapshot, |pool| match pool.lease_age {
                Some(age) => series.amount(&[], age.as_secs_f64()),
                None => Ok(()),
            })
        },
    },
    Family {
        name: "nephoscope_pool_joins",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Times that this agent became a member",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.joined)),
    },
    Family {
        name: "nephoscope_pool_lost_memberships",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Memberships that ended while the agent lived; it joins again each time",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.lost)),
    },
    Family {
        name: "nephoscope_pool_takeovers",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Times that this agent took over what others left undone",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.takeovers)),
    },
    Family {
        name: "nephoscope_pool_cancelled_cycles",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Cycles that were cut off, since others had what was this agent's",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.cancelled)),
    },
    Family {
        name: "nephoscope_pool_cycles_without_plan",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Cycles without a plan in time",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.without_plan)),
    },
    Family {
        name: "nephoscope_pool_fenced_batches",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Batches that were not handed over, since the lease had ended before they were finished",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.fenced)),
    },
    Family {
        name: "nephoscope_etcd_requests",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Requests to etcd besides keepalives: joins, writes, reads",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.requests)),
    },
    Family {
        name: "nephoscope_etcd_failures",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Requests to etcd, keepalives and watches that failed",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.failed)),
    },
    Family {
        name: "nephoscope_etcd_watched_changes",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Changes of keys that came from etcd",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.watched)),
    },
    Family {
        name: "nephoscope_etcd_unhealthy",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &["reason"],
        help: "How long something has not worked with etcd; no series if all is well",
        read: |snapshot, series| {
            pool(snapshot, |pool| {
                let mut longest: BTreeMap<&str, f64> = BTreeMap::new();
                for failure in &pool.failures {
                    let duration = longest.entry(failure.name()).or_default();
                    *duration = duration.max(failure.duration.as_secs_f64());
                }
                longest
                    .into_iter()
                    .try_for_each(|(reason, duration)| series.amount(&[reason], duration))
            })
        },
    },
    Family {
        name: "nephoscope_etcd_database",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: &[],
        help: "Size of etcd's database, as of the last minute",
        read: |snapshot, series| {
            pool(snapshot, |pool| match &pool.health {
                Some(health) => series.count(&[], health.database_bytes),
                None => Ok(()),
            })
        },
    },
    Family {
        name: "nephoscope_etcd_quota",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: &[],
        help: "The size at which etcd takes no more writes",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.quota)),
    },
];

/// What is shown only where work is shared.
fn pool(snapshot: &Snapshot, show: impl FnOnce(&PoolStatus) -> fmt::Result) -> fmt::Result {
    snapshot.pool.as_ref().map_or(Ok(()), show)
}
