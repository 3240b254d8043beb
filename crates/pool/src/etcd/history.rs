//! Notices that etcd is not the one that it was.

use etcd_client::ResponseHeader;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::error::StoreError;
use super::numbers::Revision;

/// What is known of etcd's past.
///
/// A linearizable answer never has a smaller revision than one that was there before it was asked for, and all members of a cluster
/// name the same cluster. What contradicts this is another etcd, or one that was wiped or restored: since a cluster's id is made
/// of its members' names and addresses, a wiped etcd has the same one.
///
/// A wiped etcd whose revision has overtaken the old one before anybody looked shows neither. But then the leases of the pool are gone,
/// and members join anew.
#[derive(Debug)]
pub(super) struct History {
    known: Mutex<Known>,
    /// Counts how many etcds there were.
    number: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    cluster: Option<u64>,
    revision: Revision,
    number: u64,
}

/// What was known when a request was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
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

    /// To be asked for when a request is sent.
    pub(super) fn before(&self) -> Before {
        let known = self.known.lock();
        Before {
            revision: known.revision,
            number: known.number,
        }
    }

    /// Which etcd it is, counted from 0.
    pub(super) fn number(&self) -> watch::Receiver<u64> {
        self.number.subscribe()
    }

    /// The cluster's id, once it is known.
    pub(super) fn cluster(&self) -> Option<u64> {
        self.known.lock().cluster
    }

    /// Compares an answer with the past. `linearizable` says whether its revision is of the whole cluster rather than of one member.
    pub(super) fn check(
        &self,
        before: Before,
        header: Option<&ResponseHeader>,
        linearizable: bool,
    ) -> Result<(), StoreError> {
        let Some(header) = header else {
            return Ok(());
        };
        let (cluster, revision) = (header.cluster_id(), header.revision());
        let mut known = self.known.lock();
        // An answer of the etcd before this one says nothing on this one.
        if before.number != known.number {
            return Err(StoreError::AnotherHistory {
                reason: "it was noticed while this was under way".to_owned(),
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
        Err(StoreError::AnotherHistory { reason })
    }
}
