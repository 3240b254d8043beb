//! Pollsters, and what of their resources is set aside.

use std::fmt;

use nephoscope_plugin::FailureKind;
use nephoscope_polling::stats::{PollsterTotals, SetAsideStatus};

use crate::metrics::family::{BaseUnit, Family, Kind, Series};
use crate::metrics::snapshot::Snapshot;

const POLLSTER: &[&str] = &["pollster"];

pub(super) const FAMILIES: &[Family] = &[
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
];

fn pollsters(snapshot: &Snapshot, series: &mut Series<'_>, value: fn(&PollsterTotals) -> u64) -> fmt::Result {
    snapshot
        .pollsters
        .iter()
        .try_for_each(|(pollster, totals)| series.count(&[pollster], value(totals)))
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
