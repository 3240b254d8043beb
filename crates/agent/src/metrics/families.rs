//! The table of all metric families.
//!
//! Labels are names that the configuration or the plugins bound: schedules, pollsters, listings, publishers. Nothing
//! is labelled by resource.

use std::collections::BTreeMap;
use std::fmt;

use nephoscope_coordination::pool::PoolStatus;
use nephoscope_coordination::protocol::Membership;
use nephoscope_notifier::spool::SpoolStatus;
use nephoscope_notifier::{Counts, PublisherState, PublisherStatus};
use nephoscope_plugin::{Circuit, FailureKind};
use nephoscope_polling::stats::{ListingTotals, PollsterTotals, SetAsideStatus, TaskStatus};

use crate::metrics::family::{BaseUnit, Family, Kind, Series};
use crate::metrics::snapshot::Snapshot;

const SCHEDULE: &[&str] = &["schedule"];
const POLLSTER: &[&str] = &["pollster"];
const LISTING: &[&str] = &["listing"];
const PUBLISHER: &[&str] = &["publisher"];

/// All families, in the order in which they are shown.
pub(crate) const FAMILIES: &[Family] = &[
    // The process. Names without the project's: dashboards know these from every program.
    Family {
        name: "process_start_time",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &[],
        help: "When the agent started, in seconds since 1970",
        read: |snapshot, series| series.amount(&[], snapshot.started.as_micros() as f64 / 1e6),
    },
    Family {
        name: "process_cpu",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Counter,
        labels: &[],
        help: "CPU time that the process has used",
        read: |snapshot, series| series.amount(&[], snapshot.process.cpu.as_secs_f64()),
    },
    Family {
        name: "process_resident_memory",
        unit: Some(BaseUnit::Bytes),
        kind: Kind::Gauge,
        labels: &[],
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
        help: "The version of the program",
        read: |snapshot, series| series.info(&[snapshot.version]),
    },
    // Readiness.
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
    // The scheduler.
    Family {
        name: "nephoscope_scheduler_since_tick",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &[],
        help: "Time since the scheduler last woke up; it does so every second, and more than three says that it is stuck",
        read: |snapshot, series| series.amount(&[], snapshot.scheduler.since_tick),
    },
    Family {
        name: "nephoscope_scheduler_restarts",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "How often what wakes the scheduler fell silent and was started anew",
        read: |snapshot, series| series.count(&[], snapshot.scheduler.restarts),
    },
    Family {
        name: "nephoscope_clock_steps",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Steps of the wall clock that were seen; a machine that slept counts too",
        read: |snapshot, series| series.count(&[], snapshot.scheduler.clock_steps),
    },
    // Cycles.
    Family {
        name: "nephoscope_cycles",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Cycles that have ended",
        read: |snapshot, series| tasks(snapshot, series, |task| task.cycles),
    },
    Family {
        name: "nephoscope_successions",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Parts of cycles that were polled because another agent had left them undone",
        read: |snapshot, series| tasks(snapshot, series, |task| task.successions),
    },
    Family {
        name: "nephoscope_cycles_overrun",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Cycles that were skipped because the one before still ran",
        read: |snapshot, series| tasks(snapshot, series, |task| task.overruns),
    },
    Family {
        name: "nephoscope_cycles_missed",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Cycles that were passed over because the clock went forward or the process was stopped",
        read: |snapshot, series| tasks(snapshot, series, |task| task.missed),
    },
    Family {
        name: "nephoscope_cycles_repeated",
        unit: None,
        kind: Kind::Counter,
        labels: SCHEDULE,
        help: "Cycles that ran again because the clock went back by more than their interval",
        read: |snapshot, series| tasks(snapshot, series, |task| task.repeated),
    },
    Family {
        name: "nephoscope_cycle_running",
        unit: None,
        kind: Kind::Gauge,
        labels: SCHEDULE,
        help: "1 while a cycle runs",
        read: |snapshot, series| tasks(snapshot, series, |task| u64::from(task.running)),
    },
    Family {
        name: "nephoscope_cycle_lateness",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Histogram,
        labels: SCHEDULE,
        help: "How late cycles started",
        read: |snapshot, series| {
            snapshot
                .tasks
                .iter()
                .try_for_each(|task| series.histogram(&[&task.schedule], &task.lateness))
        },
    },
    Family {
        name: "nephoscope_cycle_last_duration",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: SCHEDULE,
        help: "How long the last cycle took, until its polls had ended and their samples were handed over",
        read: |snapshot, series| {
            snapshot
                .tasks
                .iter()
                .filter_map(|task| Some((task, task.last_duration?)))
                .try_for_each(|(task, duration)| series.amount(&[&task.schedule], duration))
        },
    },
    // Pollsters.
    Family {
        name: "nephoscope_polls",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        help: "Runs of a pollster",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.runs),
    },
    Family {
        name: "nephoscope_poll_duration",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Counter,
        labels: POLLSTER,
        help: "Time spent in runs of a pollster",
        read: |snapshot, series| {
            snapshot
                .pollsters
                .iter()
                .try_for_each(|(pollster, totals)| series.amount(&[pollster], totals.seconds))
        },
    },
    Family {
        name: "nephoscope_poll_resources",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        help: "Resources that a pollster reported on",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.resources),
    },
    Family {
        name: "nephoscope_poll_samples",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        help: "Samples of a pollster that were handed to the notifier",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.samples),
    },
    Family {
        name: "nephoscope_poll_fenced_samples",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        help: "Samples of a pollster that were not handed to the notifier because the membership was lost",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.fenced),
    },
    Family {
        name: "nephoscope_poll_passed_over",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        help: "Resources that were passed over because they are set aside, counted in each cycle",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.set_aside),
    },
    Family {
        name: "nephoscope_poll_failures",
        unit: None,
        kind: Kind::Counter,
        labels: &["pollster", "kind"],
        help: "Failures of resources and of whole runs by kind; not_supported is no error",
        read: |snapshot, series| {
            snapshot.pollsters.iter().try_for_each(|(pollster, totals)| {
                FailureKind::ALL
                    .iter()
                    .try_for_each(|kind| series.count(&[pollster, kind.as_str()], totals.failures.get(*kind)))
            })
        },
    },
    Family {
        name: "nephoscope_set_aside_resources",
        unit: None,
        kind: Kind::Gauge,
        labels: &["schedule", "pollster"],
        help: "Resources that fail for good and are polled less often until they succeed",
        read: |snapshot, series| {
            runs(snapshot, series, |snapshot, schedule, pollster| {
                of_run(snapshot, schedule, pollster)
                    .map(|status| status.resources.len())
                    .sum()
            })
        },
    },
    Family {
        name: "nephoscope_pollster_hangs",
        unit: None,
        kind: Kind::Gauge,
        labels: &["schedule", "pollster"],
        help: "1 while a run blocks its thread, so that the pollster is not started again",
        read: |snapshot, series| {
            runs(snapshot, series, |snapshot, schedule, pollster| {
                usize::from(of_run(snapshot, schedule, pollster).any(|status| status.hangs))
            })
        },
    },
    // Discoveries.
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
    // Plugins.
    Family {
        name: "nephoscope_plugins_unavailable",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        help: "Plugins that were not loaded because this machine is not fit for them",
        read: |snapshot, series| series.size(&[], snapshot.plugins_unavailable),
    },
    Family {
        name: "nephoscope_blocking_calls_left_behind",
        unit: None,
        kind: Kind::Gauge,
        labels: &["family"],
        help: "Blocking calls of a plugin family that did not end by their deadline and still hang; at 16 it may start no further ones",
        read: |snapshot, series| {
            snapshot
                .calls_left_behind
                .iter()
                .try_for_each(|(family, calls)| series.size(&[family], *calls))
        },
    },
    Family {
        name: "nephoscope_service_calls",
        unit: None,
        kind: Kind::Counter,
        labels: &["service", "method", "path", "outcome"],
        help: "Calls that plugins made to services, by path template; the outcome is the status, `timed_out` or `unreachable`",
        read: |snapshot, series| {
            snapshot.service_calls.iter().try_for_each(|call| {
                let outcome = call.outcome.to_string();
                series.count(&[&call.service, &call.method, &call.path, &outcome], call.count)
            })
        },
    },
    Family {
        name: "nephoscope_service_circuit_open",
        unit: None,
        kind: Kind::Gauge,
        labels: &["service"],
        help: "1 while a service is left alone because it failed again and again",
        read: |snapshot, series| {
            snapshot
                .service_circuits
                .iter()
                .try_for_each(|(service, circuit)| {
                    series.count(&[service], u64::from(*circuit != Circuit::Closed))
                })
        },
    },
    // Publishers.
    Family {
        name: "nephoscope_publisher_state",
        unit: None,
        kind: Kind::Gauge,
        labels: &["publisher", "state"],
        help: "1 for the state that the publisher is in",
        read: |snapshot, series| {
            snapshot.publishers.iter().try_for_each(|publisher| {
                let is = state_word(&publisher.state);
                STATES
                    .iter()
                    .try_for_each(|state| series.flag(&[&publisher.name, state], *state == is))
            })
        },
    },
    Family {
        name: "nephoscope_publisher_queued_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "Samples that wait in memory for a publisher, those under way included",
        read: |snapshot, series| publishers(snapshot, series, |publisher| wide(publisher.queued_samples)),
    },
    Family {
        name: "nephoscope_publisher_queue_limit_samples",
        unit: None,
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "How many samples may wait in memory for a publisher; above it the oldest go to its spool, or are dropped without one",
        read: |snapshot, series| publishers(snapshot, series, |publisher| wide(publisher.bound)),
    },
    Family {
        name: "nephoscope_publisher_oldest",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: PUBLISHER,
        help: "How long the oldest waiting sample has waited; 0 when none waits",
        read: |snapshot, series| {
            snapshot.publishers.iter().try_for_each(|publisher| {
                let oldest = publisher.oldest.unwrap_or_default();
                series.amount(&[&publisher.name], oldest.as_secs_f64())
            })
        },
    },
    Family {
        name: "nephoscope_publisher_submitted_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that cycles handed over for a publisher; at every moment submitted + recovered by the spool = delivered + dropped + refused + queued + in the spool",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.submitted_samples),
    },
    Family {
        name: "nephoscope_publisher_delivered_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that a publisher has delivered",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.delivered_samples),
    },
    Family {
        name: "nephoscope_publisher_dropped_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that were lost: the queue or the spool was full, the spool was damaged, or the publisher was stopped",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.dropped_samples),
    },
    Family {
        name: "nephoscope_publisher_refused_samples",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Samples that were lost because the other side refused them for good",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.refused_samples),
    },
    Family {
        name: "nephoscope_publisher_retries",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Deliveries that failed and are tried again, timeouts and panics included",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.retries),
    },
    Family {
        name: "nephoscope_publisher_timeouts",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Deliveries that had no answer in time",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.timeouts),
    },
    Family {
        name: "nephoscope_publisher_panics",
        unit: None,
        kind: Kind::Counter,
        labels: PUBLISHER,
        help: "Deliveries in which the publisher panicked: a defect of the plugin",
        read: |snapshot, series| counts(snapshot, series, |counts| counts.panics),
    },
    // Spools, of the publishers that have one.
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
    // The pool.
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
        name: "nephoscope_pool_successions",
        unit: None,
        kind: Kind::Counter,
        labels: &[],
        help: "Times that this agent took over what others left undone",
        read: |snapshot, series| pool(snapshot, |pool| series.count(&[], pool.counts.successions)),
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
        name: "nephoscope_etcd_trouble",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Gauge,
        labels: &["reason"],
        help: "How long something has not worked with etcd; no series if all is well",
        read: |snapshot, series| {
            pool(snapshot, |pool| {
                let mut longest: BTreeMap<&str, f64> = BTreeMap::new();
                for trouble in &pool.troubles {
                    let lasts = longest.entry(trouble.name()).or_default();
                    *lasts = lasts.max(trouble.lasts.as_secs_f64());
                }
                longest
                    .into_iter()
                    .try_for_each(|(reason, lasts)| series.amount(&[reason], lasts))
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

/// The words for what a publisher is doing.
const STATES: [&str; 6] = ["idle", "delivering", "retrying", "blocked", "draining", "stopped"];

/// The word for what a publisher is doing, in metrics and in the admin API.
pub(crate) fn state_word(state: &PublisherState) -> &'static str {
    match state {
        PublisherState::Idle => "idle",
        PublisherState::Delivering => "delivering",
        PublisherState::Retrying { .. } => "retrying",
        PublisherState::Blocked { .. } => "blocked",
        PublisherState::Draining { .. } => "draining",
        PublisherState::Stopped => "stopped",
    }
}

fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

fn tasks(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&TaskStatus) -> u64) -> fmt::Result {
    snapshot
        .tasks
        .iter()
        .try_for_each(|task| series.count(&[&task.schedule], value(task)))
}

fn pollsters(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&PollsterTotals) -> u64) -> fmt::Result {
    snapshot
        .pollsters
        .iter()
        .try_for_each(|(pollster, totals)| series.count(&[pollster], value(totals)))
}

fn listings(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&ListingTotals) -> u64) -> fmt::Result {
    snapshot
        .listings
        .iter()
        .try_for_each(|(listing, totals)| series.count(&[listing], value(totals)))
}

fn publishers(
    snapshot: &Snapshot,
    series: &mut Series<'_>,
    value: fn(&PublisherStatus) -> u64,
) -> fmt::Result {
    snapshot
        .publishers
        .iter()
        .try_for_each(|publisher| series.count(&[&publisher.name], value(publisher)))
}

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

fn counts(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&Counts) -> u64) -> fmt::Result {
    snapshot
        .publishers
        .iter()
        .try_for_each(|publisher| series.count(&[&publisher.name], value(&publisher.counts)))
}

/// A value for each pollster of each schedule, once, however many runs it has there.
fn runs(
    snapshot: &Snapshot,
    series: &mut Series<'_>,
    value: fn(&Snapshot, &str, &str) -> usize,
) -> fmt::Result {
    snapshot.tasks.iter().try_for_each(|task| {
        let mut names: Vec<&str> = task.runs.iter().map(|run| &*run.pollster).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().try_for_each(|pollster| {
            series.size(
                &[&task.schedule, pollster],
                value(snapshot, &task.schedule, pollster),
            )
        })
    })
}

/// What is set aside or hangs: one entry for each run of the pollster on the schedule.
fn of_run<'a>(
    snapshot: &'a Snapshot,
    schedule: &'a str,
    pollster: &'a str,
) -> impl Iterator<Item = &'a SetAsideStatus> {
    snapshot
        .set_aside
        .iter()
        .filter(move |status| status.schedule == schedule && &*status.pollster == pollster)
}

/// What is shown only where work is shared.
fn pool(snapshot: &Snapshot, show: impl FnOnce(&PoolStatus) -> fmt::Result) -> fmt::Result {
    snapshot.pool.as_ref().map_or(Ok(()), show)
}
