//! What is asked of a hypervisor, whoever answers.

use uuid::Uuid;

use crate::groups::Groups;
use crate::stats::DomainStats;

/// The service that calls of libvirt's go to.
pub(crate) const LIBVIRT: &str = "libvirt";

/// A connection. Its calls block, and may never end.
pub(crate) trait Session: Send + 'static {
    /// Statistics of all domains, running or not, in one call. With `nowait`, what a domain that is busy with something
    /// else would have to be waited for is left out.
    fn stats(&mut self, groups: Groups, nowait: bool) -> Result<Vec<DomainStats>, Error>;

    /// The definition of a domain, as XML.
    fn definition(&mut self, domain: &Uuid) -> Result<String, Error>;
}

/// Makes connections. Blocks, and may never end.
pub(crate) type Opener = dyn Fn() -> Result<Box<dyn Session>, Error> + Send + Sync;

/// Why a call failed, as libvirt says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    /// The domain is not there any more.
    pub(crate) is_gone: bool,
    /// In libvirt's words.
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
