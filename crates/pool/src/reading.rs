//! Converts etcd's entries to the machine's.

use crate::etcd;
use crate::events;
use crate::protocol::{Content, Entry, Prefix, Revision, Snapshot};

/// Converts the entries that the machine can read.
pub(super) fn snapshot(prefix: &Prefix, revision: i64, entries: Vec<etcd::Entry>) -> Snapshot {
    let entries = entries.into_iter().filter_map(|entry| read_entry(prefix, &entry));
    Snapshot {
        revision: Revision(revision),
        entries: entries.collect(),
    }
}

/// Converts an entry. Keys that are not part of the protocol are ignored.
fn read_entry(prefix: &Prefix, entry: &etcd::Entry) -> Option<Entry> {
    let (created, modified) = (Revision(entry.created), Revision(entry.modified));
    match prefix.entry(&entry.key, Some(&entry.value), created, modified) {
        Ok(entry) => Some(entry),
        Err(invalid) => {
            events::ignored_key(&invalid);
            None
        }
    }
}

/// Converts a change.
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
