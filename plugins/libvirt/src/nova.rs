//! Requests to Nova about the instances of this host.

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
pub(crate) use servers::{ServerList, Servers};

use std::sync::Arc;

use nephoscope_openstack::{Session, TOKEN};
use nephoscope_plugin::{BuildContext, BuildError, Call, CallRate};

use crate::options::{Method, Options};

/// The clients of Nova; empty if Nova's metadata in the domains is sufficient.
#[derive(Default)]
pub(crate) struct NovaClients {
    /// The servers of this host, if Nova is the source of instances, or their metadata is enabled.
    pub(crate) servers: Option<Servers>,
    /// The ids of flavors, if Nova did not write them into domains.
    pub(crate) flavor_ids: Option<FlavorIds>,
}

impl NovaClients {
    /// Creates the clients that the options require, if the configuration names a cloud. Missing credentials are logged once
    /// if the options require them.
    ///
    /// # Errors
    ///
    /// An option of the family `openstack` is invalid.
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
                    // Logs that there are no credentials.
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

    /// Returns the rate of a call to Nova, Glance or Keystone; `None` for one that is never sent with these options.
    pub(crate) fn rate(&self, call: &Call) -> Option<CallRate> {
        let by_name = self.flavor_ids.is_some() && (*call == FLAVORS || *call == TOKEN);
        let of_servers = || self.servers.as_ref()?.rate(call);
        by_name.then_some(call.rate).or_else(of_servers)
    }
}
