//! How etcd itself is doing.

use super::error::StoreError;
use super::store::Store;

/// What the member that answered says of itself and its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The endpoint that answered.
    pub endpoint: String,
    /// The version of etcd.
    pub version: String,
    /// The size of the database's file, which the quota is about, in bytes.
    pub database_bytes: u64,
    /// How much of it is in use; the rest is free after a defragmentation.
    pub used_bytes: u64,
    /// The quota, if etcd tells it (from 3.6 on).
    pub quota_bytes: Option<u64>,
    /// Whether etcd takes no writes since the quota was reached.
    pub no_space: bool,
    /// Whether the member knows a leader.
    pub has_leader: bool,
}

impl Store {
    /// How etcd is doing, according to one member.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn health(&self) -> Result<Health, StoreError> {
        let before = self.before();
        let (connection, status) = self
            .ask(|mut client| async move { client.status().await })
            .await?;
        self.check(before, status.header(), false)?;
        let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Health {
            endpoint: self.url(connection.endpoint).to_owned(),
            // Not longer than a version is.
            version: status.version().chars().take(32).collect(),
            database_bytes: bytes(status.db_size()),
            used_bytes: bytes(status.raft_used_db_size()),
            quota_bytes: Some(bytes(status.db_size_quota())).filter(|quota| *quota > 0),
            no_space: status.errors().iter().any(|error| error.contains("NOSPACE")),
            has_leader: status.leader() != 0,
        })
    }
}
