//! Encodes a snapshot as metrics, family by family.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use crate::metrics::{Format, Series, Snapshot, families};

/// The metrics of a running agent.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Creates metrics that take a snapshot with `take` at each scrape.
    pub(crate) fn new(take: impl Fn() -> Snapshot + Send + Sync + 'static) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Agent(Box::new(take))));
        Self(registry)
    }

    /// Encodes all metrics.
    pub(crate) fn encode(&self, format: Format) -> Result<String, fmt::Error> {
        format.encode(&self.0)
    }
}

struct Agent(Box<dyn Fn() -> Snapshot + Send + Sync>);

impl fmt::Debug for Agent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Agent")
    }
}

impl Collector for Agent {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode(&(self.0)(), encoder)
    }
}

fn encode(snapshot: &Snapshot, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    for family in families() {
        let unit = family.unit.map(|unit| unit.unit());
        let metric =
            encoder.encode_descriptor(family.name, family.help, unit.as_ref(), family.kind.metric_type())?;
        (family.read)(snapshot, &mut Series::new(metric, family))?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use nephoscope_model::{EncodingId, Histogram, JsonLines, OsloNotification, PayloadKind, Timestamp};
    use nephoscope_notifier::spool::{
        Contents, DeadLetterStatus, LogCounts, SpoolMode, SpoolStatus, StoredContents,
    };
    use nephoscope_notifier::{Counts, PublisherState, PublisherStatus};
    use nephoscope_plugin::{CallOutcome, CallTotals, Circuit, FailureKind};
    use nephoscope_polling::record::FailureCounts;
    use nephoscope_polling::stats::{
        BackedOffStatus, DiscoveryTotals, PollsterTotals, RunStatus, SchedulerStatus, TaskStatus,
    };

    use super::*;
    use crate::metrics::ProcessUsage;

    fn shown(snapshot: fn() -> Snapshot, format: Format) -> String {
        Metrics::new(snapshot).encode(format).unwrap()
    }

    fn empty() -> Snapshot {
        Snapshot {
            pool: None,
            version: "1.2.3",
            started: Timestamp::from_millis(1_700_000_000_500),
            process: ProcessUsage {
                cpu: Duration::from_millis(250),
                resident: Some(7_000_000),
                open_files: None,
            },
            ready: false,
            reasons: vec![("starting", 1), ("plugin_unavailable", 0)],
            scheduler: SchedulerStatus {
                last_tick_age_seconds: 0.5,
                clock_steps: 1,
                restarts: 0,
                now: Timestamp::from_millis(0),
            },
            tasks: Vec::new(),
            pollsters: [].into(),
            listings: [].into(),
            backed_off: Vec::new(),
            publishers: Vec::new(),
            filtered: 0,
            plugins_unavailable: 0,
            hung_calls: Vec::new(),
            service_calls: Vec::new(),
            service_circuits: Vec::new(),
        }
    }

    fn busy() -> Snapshot {
        let mut durations = Histogram::of_durations();
        durations.add(0.5);
        durations.add(200.0);
        let mut lateness = Histogram::of_lateness();
        lateness.add(0.0005);
        lateness.add(0.25);
        let mut failures = FailureCounts::default();
        failures.add(FailureKind::Permanent);
        Snapshot {
            tasks: vec![TaskStatus {
                schedule: "every 5m".into(),
                schedule_id: "every:300:0".into(),
                sources: vec!["a".into()],
                runs: vec![RunStatus {
                    pollster: "disk".into(),
                    meters: vec!["disk.size".into()],
                    discoveries: vec!["disks".into()],
                    fallbacks: vec![],
                }],
                next: None,
                running: true,
                cycles: 2,
                takeovers: 1,
                overruns: 1,
                missed: 0,
                repeated: 0,
                lateness,
                durations: durations.clone(),
            }],
            pollsters: [(
                Arc::from("disk"),
                PollsterTotals {
                    runs: 2,
                    resources: 10,
                    samples: 20,
                    fenced: 4,
                    backed_off: 3,
                    failures,
                    durations: durations.clone(),
                },
            )]
            .into(),
            // An operator may write quotes, a backslash, a line break and a password.
            listings: [(
                "web://u:canary@h/a\"b\\c\nd".to_owned(),
                DiscoveryTotals {
                    runs: 2,
                    resources: 5,
                    failures: 1,
                    durations: durations.clone(),
                },
            )]
            .into(),
            backed_off: vec![BackedOffStatus {
                schedule: "every 5m".into(),
                pollster: "disk".into(),
                hung: true,
                resources: Vec::new(),
            }],
            hung_calls: vec![("libvirt".into(), 1)],
            service_calls: vec![CallTotals::new(
                "glance",
                "GET",
                "/v2/images",
                CallOutcome::Status(200),
                3,
            )],
            service_circuits: vec![("glance".into(), Circuit::Closed), ("nova".into(), Circuit::Open)],
            publishers: vec![PublisherStatus {
                name: "main".into(),
                url_shown: "amqp://***@h/".into(),
                state: PublisherState::Idle,
                bound: 1000,
                queued_samples: 4,
                queued_batches: 1,
                oldest_age: Some(Duration::from_secs(2)),
                spool: Some(spool()),
                counts: Counts {
                    submitted_samples: 24,
                    delivered_samples: 20,
                    ..Counts::default()
                },
                publish_durations: durations,
            }],
            ..empty()
        }
    }

    fn held(encoding: EncodingId, batches: u64, samples: u64, unsupported: bool) -> StoredContents {
        let kind = PayloadKind::Samples;
        StoredContents {
            contents: Contents { encoding, kind },
            batches,
            samples,
            unsupported,
        }
    }

    /// A spool with every kind of error.
    pub(crate) fn spool() -> SpoolStatus {
        SpoolStatus {
            path: "/spool/main".into(),
            mode: SpoolMode::Overflow,
            max_bytes: 1 << 30,
            bytes: 4096,
            batches: 3,
            samples: 90,
            oldest_time: Some(-3_000),
            incoming_batches: 0,
            incoming_samples: 0,
            recovered_batches: 1,
            recovered_samples: 30,
            stored_batches: 5,
            stored_samples: 150,
            counts: LogCounts {
                dropped_samples: 6,
                lost_samples: 7,
                corrupt: 1,
                truncated_bytes: 17,
                ..LogCounts::default()
            },
            sync_failures: 2,
            dead_letter: DeadLetterStatus {
                batches: 2,
                bytes: 900,
                lost: 1,
            },
            failing: Some("append to the spool: the disk is full".into()),
            contents: vec![
                held(OsloNotification::ID, 2, 70, false),
                held(JsonLines::ID, 1, 20, true),
            ],
            low: 3,
            next: 7,
        }
    }

    #[test]
    fn every_family_has_help_and_a_type_in_an_empty_snapshot() {
        let text = shown(empty, Format::OpenMetrics);
        let described: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
        insta::assert_snapshot!(described.join("\n"));
    }

    #[test]
    fn series_have_escaped_labels_and_no_passwords() {
        let text = shown(busy, Format::OpenMetrics);
        assert!(!text.contains("canary"), "{text}");
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        insta::assert_snapshot!(series.join("\n"));
    }

    #[test]
    fn the_text_format_names_counters_with_their_suffix() {
        let text = shown(busy, Format::Text);
        assert!(
            text.contains("# TYPE nephoscope_cycles_total counter\nnephoscope_cycles_total{"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE nephoscope_build_info gauge\nnephoscope_build_info{"),
            "{text}"
        );
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
    }

    #[test]
    fn a_value_that_the_kernel_does_not_report_has_no_series() {
        let text = shown(empty, Format::Text);
        assert!(
            !text.lines().any(|line| line.starts_with("process_open_fds")),
            "{text}"
        );
    }
}
