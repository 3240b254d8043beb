//! The interface of a hypervisor.

use uuid::Uuid;

use crate::groups::Groups;
use crate::stats::DomainStats;

/// The service of libvirt's calls.
pub(crate) const LIBVIRT: &str = "libvirt";

/// A connection. Its calls block, and may hang.
pub(crate) trait Session: Send + 'static {
    /// Returns the statistics of all domains, active or not, in one call. With `nowait`, values that would wait for a busy
    /// domain are omitted.
    fn stats(&mut self, groups: Groups, nowait: bool) -> Result<Vec<DomainStats>, Error>;

    /// Returns the XML definition of a domain.
    fn definition(&mut self, domain: &Uuid) -> Result<String, Error>;
}

/// Connects. Blocks, and may hang.
pub(crate) type Opener = dyn Fn() -> Result<Box<dyn Session>, Error> + Send + Sync;

/// The error of a libvirt call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    /// Whether the domain no longer exists.
    pub(crate) is_gone: bool,
    /// libvirt's message.
    pub(crate) message: String,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            is_gone: false,
            message: message.into(),
        }
    }
}
