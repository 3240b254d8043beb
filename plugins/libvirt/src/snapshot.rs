//! The domains of this host at a moment.

use crate::definitions::Read;
use crate::ffi;
use crate::groups::Groups;
use crate::identity::Identity;
use crate::stats::DomainStats;

/// The domains of this host at a moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The groups of statistics that were asked for.
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
    /// Nothing if it could not be read, or the domain went in the meantime.
    pub(crate) definition: Option<Read>,
}

impl Snapshot {
    /// The domain of an instance.
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
    /// It goes with its cycle, and with it what was made of it.
    fn drop(&mut self) {
        self.domains = Vec::new();
        ffi::give_back();
    }
}
