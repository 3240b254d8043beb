//! The options of the backend.

use std::path::PathBuf;

use crate::etcd::StoreOptions;
use crate::protocol;

/// etcd's default for `--quota-backend-bytes`.
pub const DEFAULT_QUOTA: u64 = 2 * 1024 * 1024 * 1024;

/// The options of a [`crate::Pool`].
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The options of the protocol.
    pub agent: protocol::Options,
    /// The options of the etcd client.
    pub store: StoreOptions,
    /// The prefix of the pool's keys.
    pub prefix: String,
    /// A file that survives a restart, in a directory that no other process uses. Without it, the next process of a killed
    /// agent joins only after the old lease has expired.
    pub member_file: Option<PathBuf>,
    /// The database size at which etcd rejects writes, in bytes, if etcd does not report it.
    pub quota: u64,
}
