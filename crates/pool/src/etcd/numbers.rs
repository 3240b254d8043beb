//! Numbers that etcd assigns.

/// A revision of etcd's store, which increases with every write.
pub type Revision = i64;

/// A lease of etcd. Its keys are deleted when it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(pub i64);
