//! Entries in etcd, and their changes.

use super::numbers::Revision;

/// A key with its value and metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The full key, including the prefix.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The revision of its creation.
    pub created: Revision,
    /// The revision of its last write.
    pub modified: Revision,
    /// The attached lease, or 0.
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

/// All entries under one or more prefixes at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Sorted by key within each prefix.
    pub entries: Vec<Entry>,
    /// The revision.
    pub revision: Revision,
}

/// A changed entry. After a broken connection a change may be repeated; its revision identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The entry was written.
    Put(Entry),
    /// The entry was deleted, or its lease expired.
    Deleted {
        /// The key.
        key: Vec<u8>,
        /// The revision of the deletion.
        revision: Revision,
    },
}
