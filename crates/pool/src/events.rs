//! The log events of the backend: one typed function for each important event.

use nephoscope_model::ScheduleId;

use crate::etcd::StoreError;
use crate::protocol::{InvalidRecord, Notice, Severity};
use crate::stored_membership::StoredMembershipError;

pub(super) fn notice(notice: &Notice) {
    match notice.severity() {
        Severity::Error => tracing::error!("coordination: {notice}"),
        Severity::Warn => tracing::warn!("coordination: {notice}"),
        Severity::Info => tracing::info!("coordination: {notice}"),
    }
}

/// An operation starts to fail, or fails with a different error.
pub(super) fn etcd_failed(operation: &'static str, error: &StoreError) {
    match error {
        // An operator must act; other errors may resolve themselves.
        StoreError::PermissionDenied { .. }
        | StoreError::Credentials { .. }
        | StoreError::NoSpace
        | StoreError::Tls { .. }
        | StoreError::TooLarge { .. } => tracing::error!("coordination: failed to {operation}: {error}"),
        _ => tracing::warn!("coordination: failed to {operation}: {error}"),
    }
}

pub(super) fn etcd_recovered(operation: &'static str) {
    tracing::info!("coordination: can {operation} again");
}

pub(super) fn outside_for_a_cycle(stops_polling: bool) {
    let shared = if stops_polling {
        "this agent polls no shared resources"
    } else {
        "this agent polls shared resources by the last known plans"
    };
    tracing::error!(
        "coordination: this agent was not a member of the pool for a whole cycle and keeps trying to join; {shared}"
    );
}

pub(super) fn ignored_key(invalid: &InvalidRecord) {
    tracing::warn!("coordination: ignored a key in etcd: {invalid}");
}

pub(super) fn write_failed(invalid: &dyn std::fmt::Display) {
    tracing::error!("coordination: failed to write a value: {invalid}");
}

pub(super) fn member_file_failed(error: &StoredMembershipError) {
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::warn!(
        "coordination: {error}: {cause}; after a crash this agent must wait until its own lease expires"
    );
}

pub(super) fn work_queue_full(schedule: &ScheduleId) {
    tracing::error!(%schedule, "coordination: the engine's work queue is full; other agents take over instead");
}

pub(super) fn quota_low(bytes: u64, quota: u64) {
    tracing::warn!(
        bytes,
        quota,
        "coordination: etcd's database has reached 80 % of its quota: compact and defragment it, and enable auto-compaction"
    );
}
