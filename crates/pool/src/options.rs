//! What the backend has to know.

use std::path::PathBuf;

use crate::etcd::StoreOptions;
use crate::protocol;

/// etcd's own default for `--quota-backend-bytes`.
pub const DEFAULT_QUOTA: u64 = 2 * 1024 * 1024 * 1024;

/// What a [`crate::Pool`] has to know.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The agent, as the protocol sees it.
    pub agent: protocol::Options,
    /// Where etcd is.
    pub store: StoreOptions,
    /// What the keys of the pool begin with.
    pub prefix: String,
    /// A file that outlives a restart, in a folder that no other process uses. Without it, the key of a process that was killed
    /// has to end with its lease before the next one can join.
    pub memory: Option<PathBuf>,
    /// The size at which etcd takes no more writes, if etcd does not tell it, in bytes.
    pub quota: u64,
}
