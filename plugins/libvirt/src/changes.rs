//! Domains whose definition may have changed since it was read.

use std::collections::HashSet;

use parking_lot::Mutex;
use uuid::Uuid;

/// When more domains than this have changed, all count as changed: a bound on what events can fill memory with while
/// nobody polls.
const MOST: usize = 16_384;

/// What events have told since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<Known>);

/// Domains that have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Any may have.
    pub(crate) all: bool,
    /// These have.
    pub(crate) domains: HashSet<Uuid>,
}

impl Changes {
    /// One has changed.
    pub(crate) fn add(&self, domain: Uuid) {
        let mut known = self.0.lock();
        if known.domains.len() >= MOST {
            known.all = true;
            known.domains.clear();
        }
        known.domains.insert(domain);
    }

    /// Any may have changed.
    pub(crate) fn add_all(&self) {
        self.0.lock().all = true;
    }

    /// What has changed since the last call.
    pub(crate) fn take(&self) -> Known {
        std::mem::take(&mut self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_bounded() {
        let changes = Changes::default();
        changes.add(Uuid::from_bytes([1; 16]));
        changes.add(Uuid::from_bytes([1; 16]));
        assert_eq!(changes.take().domains.len(), 1);
        assert_eq!(changes.take(), Known::default());
        for index in 0..=MOST as u128 {
            changes.add(Uuid::from_bytes(index.to_be_bytes()));
        }
        let known = changes.take();
        assert!(known.all && known.domains.len() == 1);
    }
}
