//! What Nova says of the instances of this host when it is asked.

mod age;
mod api;
mod details;
mod flavor_ids;
mod server;
mod servers;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use api::{Api, FLAVOR, FLAVORS, Flavor, IMAGE, Image, SERVERS};
pub(crate) use flavor_ids::FlavorIds;
pub(crate) use server::NovaServer;
pub(crate) use servers::{Listed, Servers};

use std::sync::Arc;

use nephoscope_openstack::{Session, TOKEN};
use nephoscope_plugin::{BuildContext, BuildError, Call, CallRate};

use crate::options::{Method, Options};

/// What is asked of Nova; nothing where what it wrote is enough.
#[derive(Default)]
pub(crate) struct Asked {
    /// The servers of this host, where they are what instances are known by, or their metadata is wanted.
    pub(crate) servers: Option<Servers>,
    /// The ids of flavors, where Nova did not write them.
    pub(crate) flavor_ids: Option<FlavorIds>,
}

impl Asked {
    /// What the options want to know, as far as the configuration names a cloud. That it does not is said once where the
    /// options need one.
    ///
    /// # Errors
    ///
    /// The option of the family `openstack` that is wrong.
    pub(crate) fn of(context: &BuildContext, options: &Options) -> Result<Self, BuildError> {
        let servers = |session: &Arc<Session>| {
            let host = context.host().clone();
            Servers::new(Api::new(session), host, options)
        };
        match options.instance_discovery_method {
            Method::Naive | Method::WorkloadPartitioning => Ok(Self {
                servers: Some(servers(&Session::of(context)?)),
                flavor_ids: None,
            }),
            Method::LibvirtMetadata => {
                if options.fetch_extra_metadata {
                    // It says that there are no credentials.
                    Session::of(context)?;
                }
                let Some(session) = Session::if_configured(context)? else {
                    return Ok(Self::default());
                };
                Ok(Self {
                    servers: options.fetch_extra_metadata.then(|| servers(&session)),
                    flavor_ids: Some(FlavorIds::new(
                        Api::new(&session),
                        options.resource_cache_expiry.0,
                    )),
                })
            }
        }
    }

    /// How often a call that goes to Nova, Glance or Keystone is made; nothing for one that these options never make.
    pub(crate) fn rate(&self, call: &Call) -> Option<CallRate> {
        let by_name = self.flavor_ids.is_some() && (*call == FLAVORS || *call == TOKEN);
        let of_servers = || self.servers.as_ref()?.rate(call);
        by_name.then_some(call.rate).or_else(of_servers)
    }
}
