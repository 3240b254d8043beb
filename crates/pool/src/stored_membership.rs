//! The stored membership of an agent, so that its next process need not wait until the old lease expires.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::etcd::LeaseId;

/// The maximum size of the file; the written content is much shorter.
const MAX_BYTES: u64 = 4096;

/// The error of reading or writing the file.
#[derive(Debug, thiserror::Error)]
pub enum StoredMembershipError {
    /// The file cannot be used.
    #[error("cannot access {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The file has unexpected content.
    #[error("{} does not contain a membership", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The parse error.
        #[source]
        source: serde_json::Error,
    },
}

/// The last membership of this agent. The process that has locked the file's directory may revoke its lease: the process
/// that had it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMembership {
    /// `agent.id`.
    pub id: String,
    /// Its presence lease.
    pub lease: i64,
    /// Its incarnation, for people.
    pub incarnation: String,
    /// The id of etcd's cluster: in another cluster the lease id is meaningless.
    pub cluster: Option<u64>,
}

impl StoredMembership {
    /// Returns the lease, unless it belongs to another cluster.
    pub(super) fn lease_in(&self, cluster: Option<u64>) -> Option<LeaseId> {
        let other = self.cluster.is_some() && cluster.is_some() && self.cluster != cluster;
        (!other).then_some(LeaseId(self.lease))
    }

    /// Reads the file; returns `None` if it does not exist.
    pub(super) async fn read(path: &Path) -> Result<Option<Self>, StoredMembershipError> {
        let failed = |source| StoredMembershipError::File {
            path: path.to_owned(),
            source,
        };
        let file = match options().read(true).open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .await
            .map_err(failed)?;
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|source| StoredMembershipError::Content {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes the file atomically.
    pub(super) async fn write(&self, path: &Path) -> Result<(), StoredMembershipError> {
        let failed = |source| StoredMembershipError::File {
            path: path.to_owned(),
            source,
        };
        let bytes = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let new = path.with_extension("json.new");
        let mut file = options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&new)
            .await
            .map_err(failed)?;
        file.write_all(&bytes).await.map_err(failed)?;
        file.sync_data().await.map_err(failed)?;
        tokio::fs::rename(&new, path).await.map_err(failed)
    }
}

fn options() -> tokio::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options
        .mode(0o600)
        .custom_flags(i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default());
    options.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_membership_is_read_back_and_corrupt_content_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("member.json");
        assert_eq!(StoredMembership::read(&path).await.unwrap(), None);
        let member = StoredMembership {
            id: "a".to_owned(),
            lease: 7,
            incarnation: "0".repeat(32),
            cluster: Some(3),
        };
        member.write(&path).await.unwrap();
        assert_eq!(StoredMembership::read(&path).await.unwrap(), Some(member.clone()));
        assert_eq!(member.lease_in(Some(3)), Some(LeaseId(7)));
        assert_eq!(member.lease_in(Some(4)), None);
        std::fs::write(&path, "{").unwrap();
        let error = StoredMembership::read(&path).await.unwrap_err();
        assert!(matches!(error, StoredMembershipError::Content { .. }), "{error}");
    }
}
