//! The log events of the backend: one typed function for each important event.

use nephoscope_model::ScheduleId;

use crate::etcd::StoreError;
use crate::memory::MemoryError;
use crate::protocol::{BadValue, Gravity, Notice};

pub(super) fn notice(notice: &Notice) {
    match notice.gravity() {
        Gravity::Error => tracing::error!("coordination: {notice}"),
        Gravity::Warn => tracing::warn!("coordination: {notice}"),
        Gravity::Info => tracing::info!("coordination: {notice}"),
    }
}

/// An operation starts to fail, or fails with a different error.
pub(super) fn trouble(what: &'static str, error: &StoreError) {
    match error {
        // An operator must act; other errors may resolve themselves.
        StoreError::PermissionDenied { .. }
        | StoreError::Credentials { .. }
        | StoreError::NoSpace
        | StoreError::Tls { .. }
        | StoreError::TooLarge { .. } => tracing::error!("coordination: failed to {what}: {error}"),
        _ => tracing::warn!("coordination: failed to {what}: {error}"),
    }
}

pub(super) fn over(what: &'static str) {
    tracing::info!("coordination: can {what} again");
}

pub(super) fn left_out(stops_polling: bool) {
    let shared = if stops_polling {
        "this agent polls no shared resources"
    } else {
        "this agent polls shared resources by the last known plans"
    };
    tracing::error!(
        "coordination: this agent was not a member of the pool for a whole cycle and keeps trying to join; {shared}"
    );
}

pub(super) fn foreign_key(bad: &BadValue) {
    tracing::warn!("coordination: ignored a key in etcd: {bad}");
}

pub(super) fn not_written(bad: &dyn std::fmt::Display) {
    tracing::error!("coordination: failed to write a value: {bad}");
}

pub(super) fn not_remembered(error: &MemoryError) {
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::warn!(
        "coordination: {error}: {cause}; after a crash this agent must wait until its own lease expires"
    );
}

pub(super) fn work_refused(schedule: &ScheduleId) {
    tracing::error!(%schedule, "coordination: the engine's work queue is full; other agents take over instead");
}

pub(super) fn quota(bytes: u64, quota: u64) {
    tracing::warn!(
        bytes,
        quota,
        "coordination: etcd's database has reached 80 % of its quota: compact and defragment it, and enable auto-compaction"
    );
}
