//! State that the plugins of the family share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nephoscope_plugin::{BuildContext, BuildError};

use crate::changes::Changes;
use crate::definition::NovaFlavor;
use crate::events;
use crate::ffi::{Connection, Library};
use crate::history::History;
use crate::hypervisor::Hypervisor;
use crate::nova::{NovaClients, NovaServer};
use crate::options::Options;
use crate::session::{Opener, Session};

/// The options, the hypervisor, the history, and the clients of Nova.
pub(crate) struct Family {
    pub(crate) host: Arc<str>,
    pub(crate) options: Options,
    pub(crate) hypervisor: Hypervisor,
    pub(crate) history: History,
    pub(crate) nova: NovaClients,
    /// Whether a flavor without an id was logged.
    has_warned_flavor: AtomicBool,
    /// Whether the missing user metadata was logged.
    has_warned_metadata: AtomicBool,
}

impl Family {
    /// Loads libvirt and creates the family's state.
    ///
    /// # Errors
    ///
    /// libvirt is not available, or an option is invalid.
    pub(crate) fn build(context: &BuildContext) -> Result<Arc<Self>, BuildError> {
        let options = context.options::<Options>()?;
        options.check_uri()?;
        let changes = Arc::new(Changes::default());
        let opener = opener(&options.uri, changes.clone())?;
        let nova = NovaClients::of(context, &options)?;
        Ok(context.shared(|| {
            let hypervisor = Hypervisor::new(&options, opener, changes, context.blocking().clone());
            Self::new(context.host().clone(), options, hypervisor, nova)
        }))
    }

    pub(crate) fn new(host: Arc<str>, options: Options, hypervisor: Hypervisor, nova: NovaClients) -> Self {
        Self {
            host,
            options,
            hypervisor,
            history: History::default(),
            nova,
            has_warned_flavor: AtomicBool::new(false),
            has_warned_metadata: AtomicBool::new(false),
        }
    }

    /// Returns the id of a flavor: from the domain, from Nova's server, or from Nova's list of flavors; otherwise its name, as
    /// in ceilometer.
    pub(crate) fn flavor_id(&self, flavor: &NovaFlavor, server: Option<&NovaServer>) -> String {
        let from_server = || server.and_then(NovaServer::flavor_id).map(str::to_owned);
        let by_name = || self.nova.flavor_ids.as_ref()?.get(&flavor.name);
        flavor
            .id
            .clone()
            .or_else(from_server)
            .or_else(by_name)
            .unwrap_or_else(|| {
                if !self.has_warned_flavor.swap(true, Ordering::Relaxed) {
                    events::flavor_without_id(&flavor.name);
                }
                flavor.name.clone()
            })
    }

    /// Logs once that user metadata is unavailable, until it is available again.
    pub(crate) fn report_metadata(&self, error: Option<&str>) {
        match error {
            None => self.has_warned_metadata.store(false, Ordering::Relaxed),
            Some(error) if !self.has_warned_metadata.swap(true, Ordering::Relaxed) => {
                events::metadata_unavailable(error);
            }
            Some(_) => {}
        }
    }
}

/// Returns a function that connects to `uri` and reports changed definitions to `changes`.
fn opener(uri: &str, changes: Arc<Changes>) -> Result<Arc<Opener>, BuildError> {
    let uri = uri.to_owned();
    #[cfg(any(test, feature = "recorded"))]
    if uri.starts_with(crate::testing::recorded::SCHEME) {
        return Ok(Arc::new(move || {
            Ok(Box::new(crate::testing::recorded::Recorded::open(&uri)?) as Box<dyn Session>)
        }));
    }
    let library =
        Library::load().map_err(|error| BuildError::Unavailable(format!("cannot load libvirt: {error}")))?;
    Ok(Arc::new(move || {
        Ok(Box::new(Connection::open(library, &uri, &changes)?) as Box<dyn Session>)
    }))
}
