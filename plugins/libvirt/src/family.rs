//! What the plugins of the family share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nephoscope_plugin::{BuildContext, BuildError};

use crate::changes::Changes;
use crate::definition::NovaFlavor;
use crate::events;
use crate::ffi::{Connection, Library};
use crate::history::History;
use crate::hypervisor::Hypervisor;
use crate::nova::{Asked, NovaServer};
use crate::options::Options;
use crate::session::{Opener, Session};

/// The options, the hypervisor, what is remembered of it, and what is asked of Nova.
pub(crate) struct Family {
    pub(crate) host: Arc<str>,
    pub(crate) options: Options,
    pub(crate) hypervisor: Hypervisor,
    pub(crate) history: History,
    pub(crate) nova: Asked,
    /// That a flavor has no id has been said.
    has_warned: AtomicBool,
    /// That Nova does not tell what is noted on instances has been said.
    lacks_metadata: AtomicBool,
}

impl Family {
    /// The family of a program, with libvirt loaded.
    ///
    /// # Errors
    ///
    /// There is no libvirt here, or an option is wrong.
    pub(crate) fn build(context: &BuildContext) -> Result<Arc<Self>, BuildError> {
        let options = context.options::<Options>()?;
        options.check_uri()?;
        let changes = Arc::new(Changes::default());
        let opener = opener(&options.uri, changes.clone())?;
        let nova = Asked::of(context, &options)?;
        Ok(context.shared(|| {
            let hypervisor = Hypervisor::new(&options, opener, changes, context.blocking().clone());
            Self::new(context.host().clone(), options, hypervisor, nova)
        }))
    }

    pub(crate) fn new(host: Arc<str>, options: Options, hypervisor: Hypervisor, nova: Asked) -> Self {
        Self {
            host,
            options,
            hypervisor,
            history: History::default(),
            nova,
            has_warned: AtomicBool::new(false),
            lacks_metadata: AtomicBool::new(false),
        }
    }

    /// The id of a flavor: the one that Nova wrote, or has told of the server or the name; its name where Nova knows none, as
    /// with ceilometer.
    pub(crate) fn flavor_id(&self, flavor: &NovaFlavor, server: Option<&NovaServer>) -> String {
        let told = || server.and_then(NovaServer::flavor_id).map(str::to_owned);
        let by_name = || self.nova.flavor_ids.as_ref()?.get(&flavor.name);
        flavor
            .id
            .clone()
            .or_else(told)
            .or_else(by_name)
            .unwrap_or_else(|| {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    events::flavor_without_id(&flavor.name);
                }
                flavor.name.clone()
            })
    }

    /// Says once that Nova does not tell what is noted on instances, until it did again.
    pub(crate) fn metadata_told(&self, trouble: Option<&str>) {
        match trouble {
            None => self.lacks_metadata.store(false, Ordering::Relaxed),
            Some(error) if !self.lacks_metadata.swap(true, Ordering::Relaxed) => {
                events::metadata_not_told(error);
            }
            Some(_) => {}
        }
    }
}

/// What makes connections to `uri`, and tells `changes` of definitions that change.
fn opener(uri: &str, changes: Arc<Changes>) -> Result<Arc<Opener>, BuildError> {
    let uri = uri.to_owned();
    #[cfg(any(test, feature = "recorded"))]
    if uri.starts_with(crate::testing::recorded::SCHEME) {
        return Ok(Arc::new(move || {
            Ok(Box::new(crate::testing::recorded::Recorded::open(&uri)?) as Box<dyn Session>)
        }));
    }
    let library =
        Library::load().map_err(|error| BuildError::Unavailable(format!("there is no libvirt: {error}")))?;
    Ok(Arc::new(move || {
        Ok(Box::new(Connection::open(library, &uri, &changes)?) as Box<dyn Session>)
    }))
}
