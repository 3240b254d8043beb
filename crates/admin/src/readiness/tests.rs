//! Tests of the readiness.

use std::time::Duration;

use nephoscope_model::{CycleId, Histogram, ScheduleId, Timestamp};
use nephoscope_notifier::{Counts, PublisherState};
use nephoscope_polling::record::{DiscoveryRecord, FailureCounts, FailureNote};
use tokio::time::Instant;

use super::*;

fn facts() -> Facts {
    Facts {
        phase: Phase::Running,
        rejected: None,
        after_restart: Vec::new(),
        state_write_error: None,
        scheduler: SchedulerStatus {
            last_tick_age_seconds: 0.9,
            clock_steps: 0,
            restarts: 0,
            now: Timestamp::from_millis(0),
        },
        tasks: vec![TaskStatus {
            schedule: "every 5m".into(),
            schedule_id: "every:300:0".into(),
            sources: Vec::new(),
            runs: Vec::new(),
            next: None,
            running: false,
            cycles: 0,
            takeovers: 0,
            overruns: 0,
            missed: 0,
            repeated: 0,
            lateness: Histogram::of_lateness(),
            durations: Histogram::of_durations(),
        }],
        records: Vec::new(),
        backed_off: Vec::new(),
        pool: None,
        publishers: vec![publisher("main", PublisherState::Delivering)],
        unavailable: Vec::new(),
        definitions: Vec::new(),
        hung_calls: Vec::new(),
    }
}

fn publisher(name: &str, state: PublisherState) -> PublisherStatus {
    PublisherStatus {
        name: name.into(),
        url_shown: "discard:".into(),
        state,
        bound: 10,
        queued_samples: 0,
        queued_batches: 0,
        oldest_age: None,
        spool: None,
        counts: Counts::default(),
        publish_durations: Histogram::of_durations(),
    }
}

fn blocked() -> PublisherState {
    PublisherState::Blocked {
        since: Instant::now(),
        error: Some("connection refused".into()),
        attempts: 3,
        dropped: 12,
    }
}

fn retrying() -> PublisherState {
    PublisherState::Retrying {
        since: Instant::now(),
        error: "connection refused".into(),
        attempts: 3,
    }
}

fn record(schedule: &str, no_plan: Option<&str>, failure: Option<&str>) -> Arc<CycleRecord> {
    Arc::new(CycleRecord {
        schedule: "every 5m".into(),
        cycle: CycleId::new(ScheduleId::new(schedule), Timestamp::from_millis(0), 0),
        started: Timestamp::from_millis(0),
        lateness: None,
        duration: Duration::ZERO,
        resources: 0,
        samples: 0,
        failures: FailureCounts::default(),
        discovery_runs: failure
            .map(|message| DiscoveryRecord {
                discovery: "volumes".into(),
                resources: 0,
                failure: Some(FailureNote {
                    resource: None,
                    kind: "unreachable",
                    message: message.into(),
                }),
                duration: Duration::ZERO,
            })
            .into_iter()
            .collect(),
        polls: Vec::new(),
        takeover: None,
        no_plan: no_plan.map(str::to_owned),
    })
}

fn shown(facts: &Facts) -> String {
    let readiness = facts.evaluate();
    let mut lines = vec![format!("ready: {}", readiness.ready)];
    lines.extend(
        readiness
            .reasons
            .iter()
            .map(|reason| format!("{:?} {:?}: {}", reason.severity, reason.code, reason.text)),
    );
    lines.join("\n")
}

#[test]
fn a_healthy_agent_has_no_reasons() {
    assert_eq!(shown(&facts()), "ready: true");
}

#[test]
fn an_agent_is_not_ready_without_a_configuration_or_while_it_stops() {
    insta::assert_snapshot!(shown(&Facts { phase: Phase::Starting, ..facts() }), @r"
    ready: false
    NotReady Starting: no configuration is applied yet
    ");
    // The scheduler also sleeps while the agent stops.
    let mut facts = Facts {
        phase: Phase::Stopping,
        ..facts()
    };
    facts.scheduler.last_tick_age_seconds = 20.0;
    insta::assert_snapshot!(shown(&facts), @r"
    ready: false
    NotReady Stopping: the agent is stopping
    ");
}

#[test]
fn a_stuck_scheduler_is_neither_alive_nor_ready() {
    let mut facts = facts();
    facts.scheduler.last_tick_age_seconds = 7.2;
    assert!(!Facts::is_alive(&facts.scheduler));
    insta::assert_snapshot!(shown(&facts), @r"
    ready: false
    NotReady SchedulerStuck: the scheduler has not woken up for 7 s
    ");
}

#[test]
fn an_agent_is_ready_while_one_publisher_accepts_samples() {
    let with = |states: Vec<PublisherState>| Facts {
        publishers: ["a", "b"]
            .into_iter()
            .zip(states)
            .map(|(name, state)| publisher(name, state))
            .collect(),
        ..facts()
    };
    insta::assert_snapshot!(shown(&with(vec![blocked(), PublisherState::Idle])), @r"
    ready: true
    Degraded PublisherBlocked: publisher `a` accepts no samples, 12 sample(s) lost so far: connection refused
    ");
    // The queue of `b` still has room.
    insta::assert_snapshot!(shown(&with(vec![blocked(), retrying()])), @r"
    ready: true
    Degraded PublisherBlocked: publisher `a` accepts no samples, 12 sample(s) lost so far: connection refused
    Degraded PublisherRetrying: publisher `b` failed 3 time(s) in a row, its samples are queued: connection refused
    ");
    insta::assert_snapshot!(shown(&with(vec![blocked(), blocked()])), @r"
    ready: false
    NotReady NothingPublished: no publisher accepts samples: their queues are full and samples are lost
    Degraded PublisherBlocked: publisher `a` accepts no samples, 12 sample(s) lost so far: connection refused
    Degraded PublisherBlocked: publisher `b` accepts no samples, 12 sample(s) lost so far: connection refused
    ");
    let removed = PublisherState::Draining {
        until: Instant::now(),
    };
    insta::assert_snapshot!(shown(&with(vec![blocked(), removed])), @r"
    ready: false
    NotReady NothingPublished: no publisher accepts samples: their queues are full and samples are lost
    Degraded PublisherBlocked: publisher `a` accepts no samples, 12 sample(s) lost so far: connection refused
    ");
    assert_eq!(
        shown(&with(Vec::new())),
        "ready: true",
        "an agent without publishers is ready"
    );
}

#[test]
fn a_failing_spool_is_a_reason() {
    let mut status = publisher("a", PublisherState::Idle);
    let spool = crate::metrics::example_spool();
    status.spool = Some(spool);
    let facts = Facts {
        publishers: vec![status],
        ..facts()
    };
    insta::assert_snapshot!(shown(&facts), @r"
    ready: true
    Degraded SpoolFailing: the spool of publisher `a` accepts no samples: append to the spool: the disk is full
    Degraded SpoolEncodingUnsupported: the spool of publisher `a` contains samples in unsupported encodings: json-lines/1 (20 samples); configure a publisher that supports them, or drop them with `nephoscope spool`
    ");
}

#[test]
fn a_missing_service_is_not_a_failure() {
    let mut record = CycleRecord::clone(&record("every:300:0", None, Some("there is no Manila")));
    for listing in &mut record.discovery_runs {
        listing.failure.as_mut().unwrap().kind = "not_supported";
    }
    let facts = Facts {
        records: vec![Arc::new(record)],
        ..facts()
    };
    insta::assert_snapshot!(shown(&facts), @"ready: true");
}

#[test]
fn the_last_cycle_of_each_schedule_counts() {
    let facts = Facts {
        records: vec![
            record("every:300:0", None, Some("no route to host")),
            record("every:60:0", None, Some("another message of the same listing")),
        ],
        ..facts()
    };
    insta::assert_snapshot!(shown(&facts), @r"
    ready: true
    Degraded DiscoveryFailed: the last run of discovery volumes failed: no route to host
    ");
    let facts = Facts {
        records: vec![record("every:300:0", Some("etcd is away"), None)],
        ..facts
    };
    insta::assert_snapshot!(shown(&facts), @r"
    ready: false
    NotReady NoPlan: the last cycle (every 5m) did not poll shared resources: etcd is away
    ");
}

#[test]
fn degraded_reasons_leave_the_agent_ready() {
    let facts = Facts {
        rejected: Some(2),
        after_restart: vec!["agent.id", "agent.limits"],
        state_write_error: Some("No space left on device".into()),
        tasks: Vec::new(),
        unavailable: vec![("libvirt".into(), "there is no libvirt.so.0".into())],
        definitions: vec!["/etc/a.yaml:3:1: `wind`: it measures nothing".into()],
        backed_off: vec![BackedOffStatus {
            schedule: "every 5m".into(),
            pollster: "disk".into(),
            hung: true,
            resources: Vec::new(),
        }],
        hung_calls: vec![HungCalls {
            family: "libvirt".into(),
            names: vec!["libvirt.list".into(), "libvirt.stats".into()],
            exhausted: true,
        }],
        ..facts()
    };
    insta::assert_snapshot!(shown(&facts), @r"
    ready: true
    Degraded NothingToPoll: the configuration selects nothing that the loaded plugins can poll
    Degraded ConfigurationRejected: the configuration on disk has 2 error(s) and is not in use; the log contains them
    Degraded RestartRequired: changed keys that require a restart: agent.id, agent.limits
    Degraded StateWriteFailed: cannot write the finished cycles to the state folder: No space left on device
    Degraded PluginUnavailable: plugin `libvirt` is not loaded: there is no libvirt.so.0
    Degraded DefinitionRejected: a definition is rejected: /etc/a.yaml:3:1: `wind`: it measures nothing
    Degraded PollsterHung: pollster `disk` (every 5m) hangs and is not started again
    Degraded HungCallsLimit: too many calls of the family `libvirt` hang: it starts no more calls
    Degraded HungCalls: calls of the family `libvirt` are running after their deadline: libvirt.list, libvirt.stats
    ");
}
