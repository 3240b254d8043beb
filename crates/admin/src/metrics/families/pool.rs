//! Metrics of the pool and of etcd. They have series only in agents that share work.

use std::collections::BTreeMap;
use std::fmt;

use nephoscope_pool::PoolStatus;
use nephoscope_pool::protocol::Membership;

use crate::metrics::family::{BaseUnit, Family, Kind, Stability};
use crate::metrics::snapshot::Snapshot;

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_pool_members",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        stability: Stability::Stable,
        help: "Members of the pool that this agent knows, including itself",
        read: |snapshot, series| pool(snapshot, |pool| series.size(&[], pool.members.len())),
    },
    Family {
        name: "nephoscope_pool_member",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        stability: Stability::Stable,
        help: "1 while this agent is a member of its pool, otherwise 0",
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
        stability: Stability::Stable,
        help: "Age of the last keepalive that etcd acknowledged; near `coordination.lease_ttl` the lease may expire",
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
        stability: Stability::Stable,
        help: "Times that this agent joined the pool",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.joined)),
    },
    Family {
        name: "nephoscope_pool_lost_memberships",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Stable,
        help: "Memberships that ended while the agent ran; the agent joins again each time",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.lost)),
    },
    Family {
        name: "nephoscope_pool_takeovers",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Stable,
        help: "Times that this agent took over units of other agents",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.takeovers)),
    },
    Family {
        name: "nephoscope_pool_cancelled_cycles",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Experimental,
        help: "Cycles that were cancelled because other agents had taken over the units of this agent",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.cancelled)),
    },
    Family {
        name: "nephoscope_pool_cycles_without_plan",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Stable,
        help: "Cycles without a plan in time",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.without_plan)),
    },
    Family {
        name: "nephoscope_pool_fenced_batches",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Experimental,
        help: "Batches that were not passed to the notifier because the lease had ended before",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.fenced)),
    },
    Family {
        name: "nephoscope_etcd_requests",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Stable,
        help: "Requests to etcd without keepalives: joins, writes, reads",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.requests)),
    },
    Family {
        name: "nephoscope_etcd_request_duration",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Histogram,
        labels: &[],
        stability: Stability::Stable,
        help: "Duration of requests to etcd, retries at all endpoints included",
        read: |snapshot, series| pool(snapshot, |pool| series.histogram(&[], &pool.request_durations)),
    },
    Family {
        name: "nephoscope_etcd_failures",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Stable,
        help: "Requests, keepalives and watches that failed",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.failed)),
    },
    Family {
        name: "nephoscope_etcd_watched_changes",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        stability: Stability::Experimental,
        help: "Changes of keys that etcd watches returned",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.watched)),
    },
    Family {
        name: "nephoscope_etcd_unhealthy",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &["reason"],
        stability: Stability::Stable,
        help: "Time since requests to etcd began to fail, by reason; no series while etcd is healthy",
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
        stability: Stability::Stable,
        help: "Size of the etcd database, updated every minute",
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
        stability: Stability::Stable,
        help: "Size of the database at which etcd rejects writes",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.quota)),
    },
];

/// Writes values only if work is shared.
fn pool(snapshot: &Snapshot, show: impl FnOnce(&PoolStatus) -> fmt::Result) -> fmt::Result {
    snapshot.pool.as_ref().map_or(Ok(()), show)
}
