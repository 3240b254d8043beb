//! The health of etcd.

use super::error::StoreError;
use super::store::Store;

/// The status of one member and its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The endpoint that answered.
    pub endpoint: String,
    /// Its version of etcd.
    pub version: String,
    /// The size of the database file, which counts against the quota, in bytes.
    pub database_bytes: u64,
    /// The bytes in use; a defragmentation frees the rest.
    pub used_bytes: u64,
    /// The quota, if etcd reports it (3.6 or newer).
    pub quota_bytes: Option<u64>,
    /// Whether etcd rejects writes because the quota was reached.
    pub no_space: bool,
    /// Whether the member knows a leader.
    pub has_leader: bool,
    /// Whether a user is configured while etcd has authentication disabled, so that anybody may read and write.
    pub unauthenticated: bool,
}

impl Store {
    /// Reads the health of etcd from one member.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn health(&self) -> Result<Health, StoreError> {
        let before = self.baseline();
        let (connection, status) = self
            .send(|mut client| async move { client.status().await })
            .await?;
        self.check(before, status.header(), false)?;
        let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Health {
            endpoint: self.url(connection.endpoint).to_owned(),
            // Limits the length of the text.
            version: status.version().chars().take(32).collect(),
            database_bytes: bytes(status.db_size()),
            used_bytes: bytes(status.raft_used_db_size()),
            quota_bytes: Some(bytes(status.db_size_quota())).filter(|quota| *quota > 0),
            no_space: status.errors().iter().any(|error| error.contains("NOSPACE")),
            has_leader: status.leader() != 0,
            unauthenticated: connection.unauthenticated,
        })
    }
}
