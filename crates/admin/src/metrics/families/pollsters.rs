//! Metrics of pollsters and of backed-off resources.

use std::fmt;

use nephoscope_plugin::FailureKind;
use nephoscope_polling::stats::{BackedOffStatus, PollsterTotals};

use crate::metrics::family::{BaseUnit, Family, Kind, Series, Stability};
use crate::metrics::snapshot::Snapshot;

const POLLSTER: &[&str] = &["pollster"];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_polls",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        stability: Stability::Stable,
        help: "Runs of a pollster",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.runs),
    },
    Family {
        name: "nephoscope_poll_duration",
        unit: Some(BaseUnit::Seconds),
        kind: Kind::Histogram,
        labels: POLLSTER,
        stability: Stability::Stable,
        help: "Duration of runs of a pollster",
        read: |snapshot, series| {
            snapshot
                .pollsters
                .iter()
                .try_for_each(|(pollster, totals)| series.histogram(&[pollster], &totals.durations))
        },
    },
    Family {
        name: "nephoscope_poll_resources",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        stability: Stability::Stable,
        help: "Resources for which a pollster reported samples",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.resources),
    },
    Family {
        name: "nephoscope_poll_samples",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        stability: Stability::Stable,
        help: "Samples that a pollster passed to the notifier",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.samples),
    },
    Family {
        name: "nephoscope_poll_fenced_samples",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        stability: Stability::Stable,
        help: "Samples that a pollster did not pass to the notifier because the agent had lost its pool membership",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.fenced),
    },
    Family {
        name: "nephoscope_poll_backed_off_resources",
        unit: None,
        kind: Kind::Counter,
        labels: POLLSTER,
        stability: Stability::Stable,
        help: "Resources that were skipped while backed off, counted in each cycle",
        read: |snapshot, series| pollsters(snapshot, series, |totals| totals.backed_off),
    },
    Family {
        name: "nephoscope_poll_failures",
        unit: None,
        kind: Kind::Counter,
        labels: &["pollster", "kind"],
        stability: Stability::Stable,
        help: "Failures of resources and of whole runs, by kind; `not_supported` is not an error",
        read: |snapshot, series| {
            snapshot.pollsters.iter().try_for_each(|(pollster, totals)| {
                FailureKind::ALL
                    .iter()
                    .try_for_each(|kind| series.count(&[pollster, kind.as_str()], totals.failures.get(*kind)))
            })
        },
    },
    Family {
        name: "nephoscope_backed_off_resources",
        unit: None,
        kind: Kind::Gauge,
        labels: &["schedule", "pollster"],
        stability: Stability::Stable,
        help: "Resources that fail permanently and are polled less often until they succeed",
        read: |snapshot, series| {
            runs(snapshot, series, |snapshot, schedule, pollster| {
                of_run(snapshot, schedule, pollster)
                    .map(|status| status.resources.len())
                    .sum()
            })
        },
    },
    Family {
        name: "nephoscope_pollster_hung",
        unit: None,
        kind: Kind::Gauge,
        labels: &["schedule", "pollster"],
        stability: Stability::Stable,
        help: "1 while a run blocks its thread, so that the pollster is not started again",
        read: |snapshot, series| {
            runs(snapshot, series, |snapshot, schedule, pollster| {
                usize::from(of_run(snapshot, schedule, pollster).any(|status| status.hung))
            })
        },
    },
];

fn pollsters(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&PollsterTotals) -> u64) -> fmt::Result {
    snapshot
        .pollsters
        .iter()
        .try_for_each(|(pollster, totals)| series.count(&[pollster], value(totals)))
}

/// Writes one value for each pollster of each schedule, even if the pollster has several runs there.
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

/// Returns the states of all runs of the pollster on the schedule.
fn of_run<'a>(
    snapshot: &'a Snapshot,
    schedule: &'a str,
    pollster: &'a str,
) -> impl Iterator<Item = &'a BackedOffStatus> {
    snapshot
        .backed_off
        .iter()
        .filter(move |status| status.schedule == schedule && &*status.pollster == pollster)
}
