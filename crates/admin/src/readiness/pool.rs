//! Reasons of the pool and of etcd.

use nephoscope_pool::etcd::StoreError;
use nephoscope_pool::protocol::Reason as PoolReason;

use crate::readiness::{Facts, Reason, ReasonCode, reason};

impl Facts {
    pub(super) fn pool(&self, reasons: &mut Vec<Reason>) {
        let Some(pool) = &self.pool else { return };
        for found in &pool.agent.reasons {
            let code = match found {
                PoolReason::NotJoined => ReasonCode::NotJoined,
                PoolReason::DuplicateId { .. } => ReasonCode::DuplicateId,
                PoolReason::StoreLost { polling: true } => ReasonCode::Degraded,
                PoolReason::StoreLost { polling: false } => ReasonCode::Paused,
                PoolReason::LeaseUnconfirmed => ReasonCode::LeaseUnconfirmed,
                PoolReason::ClockSkew { .. } => ReasonCode::ClockSkew,
                PoolReason::UnknownVersions { .. } => ReasonCode::UnknownVersions,
                PoolReason::NoPlan { polled: true, .. } => ReasonCode::Degraded,
                // The record of the cycle has the same reason with its cause.
                PoolReason::NoPlan { polled: false, .. } => continue,
                PoolReason::InvalidKey { .. } => ReasonCode::InvalidKey,
                PoolReason::ConfigMismatch { .. } => ReasonCode::ConfigMismatch,
            };
            reasons.push(reason(code, found.to_string()));
        }
        for failure in &pool.failures {
            let code = match &failure.error {
                StoreError::PermissionDenied { .. } => ReasonCode::EtcdPermissionDenied,
                StoreError::Credentials { .. } => ReasonCode::EtcdCredentials,
                StoreError::Tls { .. } => ReasonCode::EtcdTls,
                StoreError::NoSpace => ReasonCode::EtcdQuotaExceeded,
                StoreError::Unreachable { .. }
                | StoreError::Unanswered { .. }
                | StoreError::NoLeader { .. } => ReasonCode::EtcdUnreachable,
                StoreError::LeaseGone
                | StoreError::Compacted
                | StoreError::HistoryChanged { .. }
                | StoreError::TooLarge { .. }
                | StoreError::Rejected { .. } => ReasonCode::EtcdError,
            };
            let text = format!(
                "failing for {:.0} s to {}: {}",
                failure.duration.as_secs_f64(),
                failure.operation,
                failure.error
            );
            reasons.push(reason(code, text));
        }
        if pool.health.as_ref().is_some_and(|health| health.unauthenticated) {
            let text = "`coordination.user` is set, but etcd has authentication disabled: enable it with `etcdctl auth enable`";
            reasons.push(reason(ReasonCode::EtcdUnauthenticated, text));
        }
        if pool.is_quota_low()
            && let Some(health) = &pool.health
        {
            let text = format!(
                "the etcd database has {} of {} bytes: enable auto-compaction, compact and defragment it",
                health.database_bytes, pool.quota
            );
            reasons.push(reason(ReasonCode::EtcdQuotaLow, text));
        }
    }
}
