//! What the engine says: one typed function for each event of importance.
//!
//! ERROR: data was lost or an operator must act. WARN: something went wrong and was dealt with.
//! INFO: a state changed. DEBUG: the detail of a cycle.

use std::time::Duration;

use nephoscope_coordination::WorkId;
use nephoscope_model::CycleId;
use nephoscope_notifier::Outcome;
use nephoscope_plugin::{Failure, FailureKind};
use nephoscope_sources::Schedule;

use crate::record::CycleRecord;

pub(crate) fn clock_stepped(micros: i64, large: bool) {
    let by = Duration::from_micros(micros.unsigned_abs());
    let direction = if micros < 0 { "back" } else { "forward" };
    if large {
        tracing::error!(
            ?by,
            direction,
            "the wall clock was stepped by more than an interval, or the machine slept; cycles run on the new clock"
        );
    } else {
        tracing::warn!(?by, direction, "the wall clock was stepped");
    }
}

pub(crate) fn ticker_silent() {
    tracing::warn!("no wake-up came from the job scheduler; it is started anew");
}

pub(crate) fn cycles_missed(schedule: &Schedule, count: u64) {
    tracing::error!(%schedule, count, "cycles were missed: the clock went forward, or the process was stopped");
}

pub(crate) fn cycle_overrun(schedule: &Schedule, skipped: &CycleId) {
    tracing::error!(%schedule, cycle = %skipped.start, "a cycle still runs when the next is due; that one is skipped");
}

pub(crate) fn cycle_ended(record: &CycleRecord) {
    tracing::debug!(
        schedule = %record.schedule,
        cycle = %record.cycle.start,
        number = record.cycle.number,
        resources = record.resources,
        samples = record.samples,
        failures = record.failures.total(),
        duration = record.duration.as_secs_f64(),
        lateness = record.lateness.map(|late| late.as_secs_f64()),
        "cycle ended"
    );
}

/// All that a cycle has handed over is delivered, stored or lost: whoever reads it knows what a crash can no longer take.
pub(crate) fn cycle_settled(cycle: &CycleId, outcome: Outcome) {
    let outcome = match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Stored => "stored",
        Outcome::Dropped => "dropped",
    };
    tracing::debug!(schedule = cycle.schedule.as_str(), cycle = %cycle.start, number = cycle.number, outcome, "cycle settled");
}

pub(crate) fn poll_failed(pollster: &str, cycle: &CycleId, failure: &Failure) {
    if failure.kind() == FailureKind::NotSupported {
        // Whoever finds that something is not there says so once; it is not there in the next cycle either.
        tracing::debug!(pollster, cycle = %cycle.start, "not polled: {}", failure.chain());
        return;
    }
    tracing::warn!(pollster, cycle = %cycle.start, kind = %failure.kind(), "poll failed: {}", failure.chain());
}

pub(crate) fn discovery_failed(listing: &str, cycle: &CycleId, failure: &Failure) {
    if failure.kind() == FailureKind::NotSupported {
        tracing::debug!(listing, cycle = %cycle.start, "not listed: {}", failure.chain());
        return;
    }
    tracing::warn!(listing, cycle = %cycle.start, kind = %failure.kind(), "discovery failed: {}", failure.chain());
}

pub(crate) fn names_panicked(failure: &Failure) {
    tracing::error!(
        "samples go on without names of projects and users: {}",
        failure.chain()
    );
}

pub(crate) fn poll_hangs(pollster: &str, cycle: &CycleId) {
    tracing::error!(
        pollster,
        cycle = %cycle.start,
        "a poll does not end: it blocks its thread and is left behind; the pollster is not started again until it ends"
    );
}

pub(crate) fn plugin_not_loaded(plugin: &str, reason: &str) {
    tracing::info!(plugin, "not loaded here: {reason}");
}

pub(crate) fn no_plan(schedule: &str, reason: &str) {
    tracing::warn!(schedule, "nothing shared is polled in this cycle: {reason}");
}

pub(crate) fn fenced(pollster: &str, cycle: &CycleId, samples: u64) {
    tracing::warn!(pollster, cycle = %cycle.start, samples, "samples were not handed over: the membership is lost");
}

pub(crate) fn work_lost(work: &WorkId) {
    tracing::warn!(%work, "others have what was this agent's of it: unfinished polls of shared resources end");
}

pub(crate) fn takeover(work: &WorkId, units: usize) {
    tracing::info!(%work, units, "polled in the place of others");
}

pub(crate) fn takeover_not_begun(work: &WorkId, reason: &str) {
    tracing::warn!(%work, "not polled in the place of others: {reason}");
}

pub(crate) fn in_progress_too_late(cycle: &CycleId) {
    tracing::warn!(%cycle, "the first plan came too late for its cycle");
}

pub(crate) fn state_written_again(path: &std::path::Path) {
    tracing::info!(path = %path.display(), "which cycles are finished is written again");
}

pub(crate) fn state_not_written(path: &std::path::Path, error: &std::io::Error) {
    tracing::warn!(path = %path.display(), %error, "which cycles are finished could not be written; a restart may poll one twice");
}
