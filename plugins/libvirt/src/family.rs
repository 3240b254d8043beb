//! What the plugins of the family share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nephoscope_plugin::{BuildContext, BuildError};

use crate::changes::Changes;
use crate::events;
use crate::ffi::{Connection, Library};
use crate::history::History;
use crate::hypervisor::Hypervisor;
use crate::nova::NovaFlavor;
use crate::options::Options;
use crate::session::{Opener, Session};

/// The options, the hypervisor, and what is remembered of it.
pub(crate) struct Family {
    pub(crate) host: Arc<str>,
    pub(crate) options: Options,
    pub(crate) hypervisor: Hypervisor,
    pub(crate) history: History,
    /// That a flavor has no id has been said.
    has_warned: AtomicBool,
}

impl Family {
    /// The family of a program, with libvirt loaded.
    ///
    /// # Errors
    ///
    /// There is no libvirt here, or an option is wrong.
    pub(crate) fn build(context: &BuildContext) -> Result<Arc<Self>, BuildError> {
        let options = context.options::<Options>()?;
        options.check_method()?;
        options.check_uri()?;
        let changes = Arc::new(Changes::default());
        let opener = opener(&options.uri, changes.clone())?;
        Ok(context.shared(|| {
            let hypervisor = Hypervisor::new(&options, opener, changes, context.blocking().clone());
            Self::new(context.host().clone(), options, hypervisor)
        }))
    }

    pub(crate) fn new(host: Arc<str>, options: Options, hypervisor: Hypervisor) -> Self {
        Self {
            host,
            options,
            hypervisor,
            history: History::default(),
            has_warned: AtomicBool::new(false),
        }
    }

    /// The id of a flavor; its name where Nova wrote none, as ceilometer does when Nova knows none.
    pub(crate) fn flavor_id<'a>(&self, flavor: &'a NovaFlavor) -> &'a str {
        flavor.id.as_deref().unwrap_or_else(|| {
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                events::flavor_without_id(&flavor.name);
            }
            &flavor.name
        })
    }
}

/// What makes connections to `uri`, and tells `changes` of definitions that change.
fn opener(uri: &str, changes: Arc<Changes>) -> Result<Arc<Opener>, BuildError> {
    let uri = uri.to_owned();
    #[cfg(any(test, feature = "recorded"))]
    if uri.starts_with(crate::recorded::SCHEME) {
        return Ok(Arc::new(move || {
            Ok(Box::new(crate::recorded::Recorded::open(&uri)?) as Box<dyn Session>)
        }));
    }
    let library =
        Library::load().map_err(|error| BuildError::Unavailable(format!("there is no libvirt: {error}")))?;
    Ok(Arc::new(move || {
        Ok(Box::new(Connection::open(library, &uri, &changes)?) as Box<dyn Session>)
    }))
}
