//! The pool and its etcd.

use nephoscope_pool::etcd::StoreError;
use nephoscope_pool::protocol::Reason as PoolReason;

use crate::readiness::{Facts, Reason, ReasonCode, reason};

impl Facts {
    pub(super) fn pool(&self, reasons: &mut Vec<Reason>) {
        let Some(pool) = &self.pool else { return };
        for found in &pool.agent.reasons {
            let code = match found {
                PoolReason::NotJoined => ReasonCode::NotJoined,
                PoolReason::IdTaken { .. } => ReasonCode::IdTaken,
                PoolReason::StoreLost { polling: true } => ReasonCode::Degraded,
                PoolReason::StoreLost { polling: false } => ReasonCode::Paused,
                PoolReason::LeaseDoubtful => ReasonCode::LeaseDoubtful,
                PoolReason::ClockOff { .. } => ReasonCode::ClockOff,
                PoolReason::UnknownVersions { .. } => ReasonCode::UnknownVersions,
                PoolReason::NoPlan { polled: true, .. } => ReasonCode::Degraded,
                // The record of the cycle says so too, and why.
                PoolReason::NoPlan { polled: false, .. } => continue,
                PoolReason::BadKey { .. } => ReasonCode::BadKey,
                PoolReason::Drift { .. } => ReasonCode::Drift,
            };
            reasons.push(reason(code, found.to_string()));
        }
        for trouble in &pool.troubles {
            let code = match &trouble.error {
                StoreError::PermissionDenied { .. } => ReasonCode::EtcdPermissionDenied,
                StoreError::Credentials { .. } => ReasonCode::EtcdCredentials,
                StoreError::Tls { .. } => ReasonCode::EtcdTls,
                StoreError::NoSpace => ReasonCode::EtcdFull,
                StoreError::Unreachable { .. }
                | StoreError::Unanswered { .. }
                | StoreError::NoLeader { .. } => ReasonCode::EtcdUnreachable,
                StoreError::LeaseGone
                | StoreError::Compacted
                | StoreError::AnotherHistory { .. }
                | StoreError::TooLarge { .. }
                | StoreError::Refused { .. } => ReasonCode::EtcdRefuses,
            };
            let text = format!(
                "failed for {:.0} s to {}: {}",
                trouble.lasts.as_secs_f64(),
                trouble.what,
                trouble.error
            );
            reasons.push(reason(code, text));
        }
        if pool.is_filling()
            && let Some(health) = &pool.health
        {
            let text = format!(
                "etcd's database has {} of {} bytes: turn on auto-compaction, compact and defragment it",
                health.database_bytes, pool.quota
            );
            reasons.push(reason(ReasonCode::EtcdFilling, text));
        }
    }
}
