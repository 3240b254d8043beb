//! What the backend says: one typed function for each event of importance.

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

/// Something does not work that worked before, or fails in another way.
pub(super) fn trouble(what: &'static str, error: &StoreError) {
    match error {
        // Somebody has to do something; all else may pass.
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
        "nothing shared is polled here"
    } else {
        "what is shared is polled by the last plans that are known"
    };
    tracing::error!(
        "coordination: this agent has been out of the pool for a whole cycle, and goes on trying to join: {shared}"
    );
}

pub(super) fn foreign_key(bad: &BadValue) {
    tracing::warn!("coordination: passed over in etcd: {bad}");
}

pub(super) fn not_written(bad: &dyn std::fmt::Display) {
    tracing::error!("coordination: failed to write a value that is too large: {bad}");
}

pub(super) fn not_remembered(error: &MemoryError) {
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::warn!(
        "coordination: {error}: {cause}; after a crash this agent has to wait for the end of its own lease"
    );
}

pub(super) fn work_refused(schedule: &ScheduleId) {
    tracing::error!(%schedule, "coordination: the engine takes no more work, a succession is left to others");
}

pub(super) fn quota(bytes: u64, quota: u64) {
    tracing::warn!(
        bytes,
        quota,
        "coordination: etcd's database has reached 80 % of its quota: compact and defragment it, and turn on auto-compaction"
    );
}
