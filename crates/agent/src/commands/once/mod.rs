//! `nephoscope once`: polls all sources once and prints the samples.

mod collector;
mod progress;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Local;
use nephoscope_model::{Batch, JsonLines, Volume};
use nephoscope_notifier::{Notifier, PublisherStatus};
use nephoscope_plugin::BlockingPool;
use nephoscope_polling::clock::SystemClock;
use nephoscope_polling::engine::{self, EngineParts};
use nephoscope_polling::record::CycleRecord;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::{Format, OnceArgs};
use crate::error::{Exit, ProgramError};
use crate::output::{note, print, stdout_is_terminal};
use crate::runtimes::Runtimes;
use crate::settings::{Origin, Settings, engine_options, quiet_log};
use crate::table::Sheet;
use crate::{logs, option_errors, publishers};

use collector::{Collected, PRINTER, collector};

/// Polls and prints. Returns [`Exit::Failed`] if a poll failed, except for unsupported resources.
pub(crate) fn once(origin: &Origin, args: &OnceArgs) -> Result<Exit, ProgramError> {
    let (level, form) = quiet_log(&origin.options);
    logs::start(level, form);
    let origin = origin.clone().or_built_in(stdout_is_terminal());
    let settings = origin.load_and_warn()?;
    let runtimes = Runtimes::start().map_err(ProgramError::Runtime)?;
    let plugins = runtimes.plugins.handle().clone();
    let exit = runtimes.core.block_on(poll(settings, args, plugins));
    runtimes.end();
    exit
}

async fn poll(settings: Settings, args: &OnceArgs, plugin_runtime: Handle) -> Result<Exit, ProgramError> {
    let loaded = &settings.loaded;
    let config = &loaded.config;
    let (plugins, configured) = {
        let plugins = {
            let _within = plugin_runtime.enter();
            settings.plugins()
        };
        let configured = if args.publish {
            let blocking = BlockingPool::default();
            let state_dir = config.agent.state_dir();
            publishers::set_up(
                &settings.catalog,
                &config.notifier,
                &state_dir,
                false,
                &blocking,
                |_| None,
            )
        } else {
            Ok(Vec::new())
        };
        option_errors::combine(loaded, plugins, configured)?
    };
    let (printer, collected) = collector();
    let mut setups = vec![printer];
    // Publishers run without their spools. Publishers to standard output are left out: this command prints there.
    setups.extend(
        configured
            .into_iter()
            .map(|planned| planned.setup)
            .filter(|setup| !setup.url_shown.starts_with("stdout:")),
    );
    let notifier = Notifier::start(
        setups,
        publishers::notifier_options(&config.notifier),
        &Handle::current(),
    );
    let parts = EngineParts {
        clock: Arc::new(SystemClock),
        coordinator: Arc::new(Local),
        notifier: notifier.clone(),
        runtime: Handle::current(),
        plugin_runtime,
    };
    let within = Duration::from(config.agent.shutdown_timeout);
    let polling = async {
        let options = engine_options(config);
        let records = engine::once(
            &options,
            parts,
            &config.sources,
            &plugins,
            &CancellationToken::new(),
        )
        .await;
        notifier.shutdown(Instant::now() + within).await;
        (records, notifier.status())
    };
    let format = args.printing.format();
    let mut samples = Vec::new();
    let (records, publishers) = {
        let bar = format == Format::Table || !stdout_is_terminal();
        let mut polling = std::pin::pin!(polling);
        let mut progress = std::pin::pin!(progress::show(bar, || collected.total()));
        loop {
            tokio::select! {
                biased;
                end = &mut polling => break end,
                () = collected.arrived() => take(&collected, format, &mut samples)?,
                () = &mut progress => {}
            }
        }
    };
    take(&collected, format, &mut samples)?;
    if format == Format::Table {
        print(samples_table(&samples).as_bytes())?;
    }
    let failures = failures(&records, &publishers, collected.rejected());
    failures.iter().for_each(|line| note(line));
    Ok(if failures.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// Prints collected samples, or collects them for the table.
fn take(collected: &Collected, format: Format, samples: &mut Vec<Arc<Batch>>) -> io::Result<()> {
    let batches = collected.take();
    match format {
        Format::Json => batches
            .iter()
            .try_for_each(|batch| print(batch.encoded(&JsonLines).unwrap_or_default())),
        Format::Table => {
            samples.extend(batches);
            Ok(())
        }
    }
}

/// Returns one row per sample, sorted by resource and meter.
fn samples_table(batches: &[Arc<Batch>]) -> String {
    let mut samples: Vec<_> = batches.iter().flat_map(|batch| batch.samples()).collect();
    samples.sort_by(|one, other| {
        let key = |sample: &nephoscope_model::Sample| {
            (
                sample.subject.resource_id.clone(),
                sample.meter.published_name.clone(),
            )
        };
        key(one).cmp(&key(other))
    });
    let rows = samples.into_iter().map(|sample| {
        vec![
            sample.subject.resource_id.to_string(),
            sample.meter.published_name.to_string(),
            number(sample.volume),
            sample.meter.unit.to_string(),
            sample.meter.kind.to_string(),
        ]
    });
    Sheet::stdout().table(&["resource", "meter", ">value", "unit", "type"], rows)
}

/// Formats a value with at most three decimals.
fn number(volume: Volume) -> String {
    match volume {
        Volume::Float(float) => {
            let text = format!("{float:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        whole => whole.to_string(),
    }
}

/// Returns one line per failure.
fn failures(records: &[Arc<CycleRecord>], publishers: &[PublisherStatus], not_printed: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut described = 0;
    for record in records {
        if let Some(reason) = &record.no_plan {
            lines.push(format!("failed: {}: {reason}", record.schedule));
        }
        for listing in &record.discovery_runs {
            if let Some(failure) = listing.failure.as_ref().filter(|failure| failure.is_error()) {
                described += 1;
                lines.push(format!(
                    "failed: discovery {}: {}: {}",
                    listing.discovery, failure.kind, failure.message
                ));
            }
        }
        for poll in &record.polls {
            for failure in poll.notes.iter().filter(|failure| failure.is_error()) {
                described += 1;
                let of = failure
                    .resource
                    .as_ref()
                    .map(|key| format!(" of {key}"))
                    .unwrap_or_default();
                lines.push(format!(
                    "failed: {}{of}: {}: {}",
                    poll.pollster, failure.kind, failure.message
                ));
            }
        }
    }
    let total: u64 = records.iter().map(|record| record.failures.total()).sum();
    if total > described {
        lines.push(format!("failed: {} more", total - described));
    }
    for publisher in publishers
        .iter()
        .filter(|publisher| publisher.url_shown != PRINTER)
    {
        let lost = publisher.counts.dropped_samples + publisher.counts.rejected_samples;
        if lost > 0 {
            lines.push(format!("not published: {lost} samples by {}", publisher.name));
        }
    }
    if not_printed > 0 {
        lines.push(format!("not printed: {not_printed} samples"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use nephoscope_model::{CycleId, ScheduleId, Timestamp};
    use nephoscope_notifier::{Counts, PublisherState};
    use nephoscope_plugin::FailureKind;
    use nephoscope_polling::record::{FailureCounts, FailureNote, PollRecord};

    use super::*;

    #[test]
    fn values_are_short() {
        let shown = [0.1 + 0.2, 2.0, 1234.5678, 0.0].map(|float| number(Volume::Float(float)));
        assert_eq!(shown, ["0.3", "2", "1234.568", "0"]);
        assert_eq!(number(Volume::Uint(u64::MAX)), "18446744073709551615");
    }

    #[test]
    fn unsupported_resources_are_not_failures() {
        let note = |resource: Option<&str>, kind: FailureKind| FailureNote {
            resource: resource.map(Into::into),
            kind: kind.as_str(),
            message: "no answer".to_owned(),
        };
        let mut counts = FailureCounts::default();
        for kind in [
            FailureKind::NotSupported,
            FailureKind::Transient,
            FailureKind::Permanent,
            FailureKind::Permanent,
        ] {
            counts.add(kind);
        }
        let notes = vec![
            note(Some("sda"), FailureKind::NotSupported),
            note(None, FailureKind::Transient),
            note(Some("sdb"), FailureKind::Permanent),
        ];
        let poll = PollRecord {
            pollster: "disk".into(),
            failures: counts.clone(),
            notes,
            ..Default::default()
        };
        let start = Timestamp::from_millis(0);
        let record = CycleRecord {
            schedule: "every 10s".to_owned(),
            cycle: CycleId::new(ScheduleId::new("every:10:0"), start, 0),
            started: start,
            lateness: None,
            duration: Duration::ZERO,
            resources: 0,
            samples: 0,
            failures: counts,
            discovery_runs: Vec::new(),
            polls: vec![poll],
            takeover: None,
            no_plan: None,
        };
        let lines = failures(
            &[Arc::new(record)],
            &[publisher(PRINTER), publisher("discard:")],
            7,
        );
        insta::assert_snapshot!(lines.join("\n"), @r"
        failed: disk: transient: no answer
        failed: disk of sdb: permanent: no answer
        failed: 1 more
        not published: 5 samples by bus
        not printed: 7 samples
        ");
    }

    /// A publisher with two dropped and three rejected samples.
    fn publisher(url: &str) -> PublisherStatus {
        PublisherStatus {
            name: "bus".into(),
            url_shown: url.into(),
            state: PublisherState::Stopped,
            bound: 10,
            queued_samples: 0,
            queued_batches: 0,
            oldest_age: None,
            spool: None,
            counts: Counts {
                dropped_samples: 2,
                rejected_samples: 3,
                ..Counts::default()
            },
            publish_durations: nephoscope_model::Histogram::of_durations(),
        }
    }
}
