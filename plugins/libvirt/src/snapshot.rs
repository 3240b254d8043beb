//! The domains of this host at one time.

use crate::definitions::Read;
use crate::ffi;
use crate::groups::Groups;
use crate::identity::Identity;
use crate::stats::DomainStats;

/// The domains of this host at one time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The groups of statistics that were requested.
    pub(crate) groups: Groups,
    /// Sorted by UUID.
    pub(crate) domains: Vec<Domain>,
    /// Seconds on the monotonic clock.
    pub(crate) at: f64,
}

/// A domain.
#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) stats: DomainStats,
    /// `None` if it could not be read, or the domain has been removed meanwhile.
    pub(crate) definition: Option<Read>,
}

impl Snapshot {
    /// Returns the domain of an instance.
    pub(crate) fn find(&self, identity: &Identity) -> Option<&Domain> {
        match identity {
            Identity::Uuid(uuid) => {
                let found = self
                    .domains
                    .binary_search_by_key(uuid, |domain| domain.stats.uuid);
                self.domains.get(found.ok()?)
            }
            Identity::Name(name) => self.domains.iter().find(|domain| domain.stats.name == *name),
        }
    }
}

impl Drop for Snapshot {
    /// The snapshot is dropped at the end of its cycle, like everything derived from it; then its memory is released.
    fn drop(&mut self) {
        self.domains = Vec::new();
        ffi::release_memory();
    }
}
