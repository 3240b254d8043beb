//! Detects a wiped, restored or replaced etcd.

use etcd_client::ResponseHeader;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::error::StoreError;
use super::numbers::Revision;

/// The known history of etcd.
///
/// The revision of a linearizable answer is never smaller than a revision that was known before the request, and all
/// members of a cluster report the same cluster id. An answer that contradicts this comes from another etcd, or from one
/// that was wiped or restored. A cluster's id is derived from its members' names and addresses, so a wiped etcd has the
/// same id.
///
/// A wiped etcd whose revision has already exceeded the old one shows neither sign. But then the pool's leases are gone,
/// and the members join again.
#[derive(Debug)]
pub(super) struct History {
    known: Mutex<Known>,
    /// Counts the etcds.
    number: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    cluster: Option<u64>,
    revision: Revision,
    number: u64,
}

/// The known state when a request was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Baseline {
    revision: Revision,
    number: u64,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::default(),
            number: watch::Sender::new(0),
        }
    }

    /// Returns the baseline for a request that is about to be sent.
    pub(super) fn baseline(&self) -> Baseline {
        let known = self.known.lock();
        Baseline {
            revision: known.revision,
            number: known.number,
        }
    }

    /// Returns the generation of etcd, counted from 0.
    pub(super) fn number(&self) -> watch::Receiver<u64> {
        self.number.subscribe()
    }

    /// Returns the id of etcd's cluster, once it is known.
    pub(super) fn cluster(&self) -> Option<u64> {
        self.known.lock().cluster
    }

    /// Compares an answer with the history. `linearizable` is true if its revision is the cluster's rather than one
    /// member's.
    pub(super) fn check(
        &self,
        before: Baseline,
        header: Option<&ResponseHeader>,
        linearizable: bool,
    ) -> Result<(), StoreError> {
        let Some(header) = header else {
            return Ok(());
        };
        let (cluster, revision) = (header.cluster_id(), header.revision());
        let mut known = self.known.lock();
        // An answer of the previous etcd says nothing about the current one.
        if before.number != known.number {
            return Err(StoreError::HistoryChanged {
                reason: "it was detected during this call".to_owned(),
            });
        }
        let reason = match known.cluster {
            Some(was) if was != cluster => {
                format!("the cluster is {cluster:016x} and was {was:016x}")
            }
            _ if linearizable && revision < before.revision => {
                format!("the revision is {revision} and was {}", before.revision)
            }
            _ => {
                known.cluster = Some(cluster);
                if linearizable {
                    known.revision = known.revision.max(revision);
                }
                return Ok(());
            }
        };
        *known = Known {
            cluster: Some(cluster),
            revision: if linearizable { revision } else { 0 },
            number: known.number + 1,
        };
        self.number.send_replace(known.number);
        Err(StoreError::HistoryChanged { reason })
    }
}
