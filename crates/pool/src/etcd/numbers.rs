//! The numbers that etcd gives.

/// A revision of etcd's store: each write makes a greater one.
pub type Revision = i64;

/// A lease of etcd: keys that hang on it go when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(pub i64);
