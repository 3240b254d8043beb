//! The log events of the engine: one typed function per event.
//!
//! ERROR: data was lost or an operator must act. WARN: a recovered fault. INFO: a state change. DEBUG: details of a cycle.

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
            "the wall clock was stepped by more than an interval, or the machine was suspended; cycles follow the new time"
        );
    } else {
        tracing::warn!(?by, direction, "the wall clock was stepped");
    }
}

pub(crate) fn ticker_silent() {
    tracing::warn!("no wake-up from the job scheduler; restarting it");
}

pub(crate) fn cycles_missed(schedule: &Schedule, count: u64) {
    tracing::error!(%schedule, count, "cycles missed: the clock was stepped forward, or the process was stopped");
}

pub(crate) fn cycle_overrun(schedule: &Schedule, skipped: &CycleId) {
    tracing::error!(%schedule, cycle = %skipped.start, "cycle skipped: the previous cycle is still running");
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

/// Logs that all samples of a cycle are delivered, stored or dropped: a crash can no longer lose them.
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
        // The plugin logs a missing capability once; it is still missing in the next cycle.
        tracing::debug!(pollster, cycle = %cycle.start, "not polled: {}", failure.chain());
        return;
    }
    tracing::warn!(pollster, cycle = %cycle.start, kind = %failure.kind(), "poll failed: {}", failure.chain());
}

pub(crate) fn discovery_failed(discovery: &str, cycle: &CycleId, failure: &Failure) {
    if failure.kind() == FailureKind::NotSupported {
        tracing::debug!(discovery, cycle = %cycle.start, "not discovered: {}", failure.chain());
        return;
    }
    tracing::warn!(discovery, cycle = %cycle.start, kind = %failure.kind(), "discovery failed: {}", failure.chain());
}

pub(crate) fn names_panicked(failure: &Failure) {
    tracing::error!(
        "samples are submitted without names of projects and users: {}",
        failure.chain()
    );
}

pub(crate) fn poll_hung(pollster: &str, cycle: &CycleId) {
    tracing::error!(
        pollster,
        cycle = %cycle.start,
        "poll hung: it blocks its thread past the deadline; the pollster is not started again until it returns"
    );
}

pub(crate) fn plugin_not_loaded(plugin: &str, reason: &str) {
    tracing::info!(plugin, "plugin not loaded: {reason}");
}

pub(crate) fn no_plan(schedule: &str, reason: &str) {
    tracing::warn!(schedule, "no shared resources are polled in this cycle: {reason}");
}

pub(crate) fn fenced(pollster: &str, cycle: &CycleId, samples: u64) {
    tracing::warn!(pollster, cycle = %cycle.start, samples, "samples discarded: this agent has lost its membership");
}

pub(crate) fn work_lost(work: &WorkId) {
    tracing::warn!(%work, "other agents have taken over this work; unfinished polls of shared resources are aborted");
}

pub(crate) fn takeover(work: &WorkId, units: usize) {
    tracing::info!(%work, units, "taking over the work of other agents");
}

pub(crate) fn takeover_not_started(work: &WorkId, reason: &str) {
    tracing::warn!(%work, "takeover not started: {reason}");
}

pub(crate) fn in_progress_too_late(cycle: &CycleId) {
    tracing::warn!(%cycle, "the first plan arrived after the deadline of its cycle");
}

pub(crate) fn state_write_recovered(path: &std::path::Path) {
    tracing::info!(path = %path.display(), "the state of finished cycles is written again");
}

pub(crate) fn state_write_failed(path: &std::path::Path, error: &std::io::Error) {
    tracing::warn!(path = %path.display(), %error, "cannot write the state of finished cycles; a restart may poll a cycle twice");
}
