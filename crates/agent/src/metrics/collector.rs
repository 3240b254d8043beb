//! What a scrape reads: a snapshot, shown family by family.

use std::fmt;

use nephoscope_model::Timestamp;
use nephoscope_notifier::Notifier;
use nephoscope_polling::engine::Engine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use crate::coordination::Coordination;
use crate::metrics::{FAMILIES, Format, Series, Snapshot};

/// The metrics of a running agent.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Of this engine and notifier, in a process that was started then.
    pub(crate) fn new(
        engine: Engine,
        notifier: Notifier,
        coordination: Coordination,
        started: Timestamp,
    ) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Agent {
            engine,
            notifier,
            coordination,
            started,
        }));
        Self(registry)
    }

    /// All metrics as they are now.
    pub(crate) fn encode(&self, format: Format) -> Result<String, fmt::Error> {
        format.encode(&self.0)
    }
}

struct Agent {
    engine: Engine,
    notifier: Notifier,
    coordination: Coordination,
    started: Timestamp,
}

impl fmt::Debug for Agent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Agent")
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

impl Collector for Agent {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode(
            &Snapshot::take(&self.engine, &self.notifier, &self.coordination, self.started),
            encoder,
        )
    }
}

fn encode(snapshot: &Snapshot, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    for family in FAMILIES {
        let unit = family.unit.map(|unit| unit.unit());
        let metric =
            encoder.encode_descriptor(family.name, family.help, unit.as_ref(), family.kind.metric_type())?;
        (family.read)(snapshot, &mut Series::new(metric, family))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use nephoscope_notifier::{Counts, PublisherState, PublisherStatus};
    use nephoscope_plugin::FailureKind;
    use nephoscope_polling::record::FailureCounts;
    use nephoscope_polling::stats::{
        Histogram, ListingTotals, PollsterTotals, RunStatus, SchedulerStatus, SetAsideStatus, TaskStatus,
    };

    use super::*;
    use crate::metrics::ProcessUsage;

    struct Fixed(fn() -> Snapshot);

    impl fmt::Debug for Fixed {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("Fixed")
        }
    }

    impl Collector for Fixed {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            encode(&(self.0)(), encoder)
        }
    }

    fn shown(snapshot: fn() -> Snapshot, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Fixed(snapshot)));
        Metrics(registry).encode(format).unwrap()
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
            scheduler: SchedulerStatus {
                since_tick: 0.5,
                clock_steps: 1,
                restarts: 0,
                now: Timestamp::from_millis(0),
            },
            tasks: Vec::new(),
            pollsters: [].into(),
            listings: [].into(),
            set_aside: Vec::new(),
            publishers: Vec::new(),
            plugins_unavailable: 0,
            calls_left_behind: Vec::new(),
        }
    }

    fn busy() -> Snapshot {
        let mut lateness = Histogram::default();
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
                    listings: vec!["disks".into()],
                    fallbacks: vec![],
                }],
                next: None,
                running: true,
                cycles: 2,
                successions: 1,
                overruns: 1,
                missed: 0,
                repeated: 0,
                lateness,
                last_duration: Some(1.5),
            }],
            pollsters: [(
                Arc::from("disk"),
                PollsterTotals {
                    runs: 2,
                    resources: 10,
                    samples: 20,
                    fenced: 4,
                    set_aside: 3,
                    failures,
                    seconds: 0.75,
                },
            )]
            .into(),
            // What an operator may write: quotes, a backslash, a line break, a password.
            listings: [(
                "web://u:canary@h/a\"b\\c\nd".to_owned(),
                ListingTotals {
                    runs: 2,
                    resources: 5,
                    failures: 1,
                },
            )]
            .into(),
            set_aside: vec![SetAsideStatus {
                schedule: "every 5m".into(),
                pollster: "disk".into(),
                hangs: true,
                resources: Vec::new(),
            }],
            calls_left_behind: vec![("libvirt".into(), 1)],
            publishers: vec![PublisherStatus {
                name: "main".into(),
                url_shown: "amqp://***@h/".into(),
                state: PublisherState::Idle,
                bound: 1000,
                queued_samples: 4,
                queued_batches: 1,
                oldest: Some(Duration::from_secs(2)),
                spool: None,
                counts: Counts {
                    submitted_samples: 24,
                    delivered_samples: 20,
                    ..Counts::default()
                },
            }],
            ..empty()
        }
    }

    #[test]
    fn every_family_has_help_and_a_type_before_anything_has_happened() {
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
    fn the_older_format_names_counters_as_its_readers_expect() {
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
    fn a_number_that_the_kernel_does_not_give_is_left_out() {
        let text = shown(empty, Format::Text);
        assert!(
            !text.lines().any(|line| line.starts_with("process_open_fds")),
            "{text}"
        );
    }
}
