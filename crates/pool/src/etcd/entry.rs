//! What stands in etcd, and how it changes.

use super::numbers::Revision;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole key, with the prefix.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// At which revision the key was created.
    pub created: Revision,
    /// At which revision it was last written.
    pub modified: Revision,
    /// The lease that it hangs on, or 0.
    pub lease: i64,
}

impl From<etcd_client::KeyValue> for Entry {
    fn from(pair: etcd_client::KeyValue) -> Self {
        let (created, modified, lease) = (pair.create_revision(), pair.mod_revision(), pair.lease());
        let (key, value) = pair.into_key_value();
        Self {
            key,
            value,
            created,
            modified,
            lease,
        }
    }
}

/// All entries under one or more prefixes, as they stood together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Sorted by key within each prefix.
    pub entries: Vec<Entry>,
    /// At which revision.
    pub revision: Revision,
}

/// An entry that has changed. After a broken connection one may come twice; its revision tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was written.
    Put(Entry),
    /// It was deleted, or its lease ended.
    Deleted {
        /// The key.
        key: Vec<u8>,
        /// At which revision.
        revision: Revision,
    },
}
