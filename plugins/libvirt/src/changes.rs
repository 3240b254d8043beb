//! Domains whose definition may have changed since it was read.

use std::collections::HashSet;

use parking_lot::Mutex;
use uuid::Uuid;

/// The maximum number of changed domains that are stored; with more, all count as changed. It bounds memory while no
/// poll runs.
const MAX_DOMAINS: usize = 16_384;

/// The changes reported by events since the last call of `take`.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<Known>);

/// Changed domains.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Any domain may have changed.
    pub(crate) all: bool,
    /// The domains that have changed.
    pub(crate) domains: HashSet<Uuid>,
}

impl Changes {
    /// Adds a changed domain.
    pub(crate) fn add(&self, domain: Uuid) {
        let mut known = self.0.lock();
        if known.domains.len() >= MAX_DOMAINS {
            known.all = true;
            known.domains.clear();
        }
        known.domains.insert(domain);
    }

    /// Records that any domain may have changed.
    pub(crate) fn add_all(&self) {
        self.0.lock().all = true;
    }

    /// Returns and clears the changes.
    pub(crate) fn take(&self) -> Known {
        std::mem::take(&mut self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_returned_once_and_bounded() {
        let changes = Changes::default();
        changes.add(Uuid::from_bytes([1; 16]));
        changes.add(Uuid::from_bytes([1; 16]));
        assert_eq!(changes.take().domains.len(), 1);
        assert_eq!(changes.take(), Known::default());
        for index in 0..=MAX_DOMAINS as u128 {
            changes.add(Uuid::from_bytes(index.to_be_bytes()));
        }
        let known = changes.take();
        assert!(known.all && known.domains.len() == 1);
    }
}
