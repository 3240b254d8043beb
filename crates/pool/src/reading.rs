//! What stands in etcd, as the machine reads it.

use crate::etcd;
use crate::events;
use crate::protocol::{Content, Entry, Prefix, Revision, Snapshot};

/// What the machine can read of entries of etcd.
pub(super) fn snapshot(prefix: &Prefix, revision: i64, entries: Vec<etcd::Entry>) -> Snapshot {
    let entries = entries.into_iter().filter_map(|entry| read_entry(prefix, &entry));
    Snapshot {
        revision: Revision(revision),
        entries: entries.collect(),
    }
}

/// An entry as the machine reads it. Keys that are none of the protocol's are passed over.
fn read_entry(prefix: &Prefix, entry: &etcd::Entry) -> Option<Entry> {
    let (created, modified) = (Revision(entry.created), Revision(entry.modified));
    match prefix.entry(&entry.key, Some(&entry.value), created, modified) {
        Ok(entry) => Some(entry),
        Err(bad) => {
            events::foreign_key(&bad);
            None
        }
    }
}

/// A change as the machine reads it.
pub(super) fn changed(prefix: &Prefix, change: etcd::Change) -> Option<Entry> {
    match change {
        etcd::Change::Put(entry) => read_entry(prefix, &entry),
        etcd::Change::Deleted { key, revision } => {
            let key = prefix.parse(&key).ok()?;
            Some(Entry {
                key,
                revision: Revision(revision),
                created: Revision::NONE,
                content: Content::Deleted,
            })
        }
    }
}
