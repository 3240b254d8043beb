//! The endpoints of the service catalog.

use std::sync::Arc;

use nephoscope_openstack::{Session, TOKEN};
use nephoscope_plugin::model::Resource;
use nephoscope_plugin::{
    Discovery, DiscoveryPlugin, DiscoveryRun, Failure, PartitionMode, Registration, Scope, async_trait,
    register,
};

use crate::{FAMILY, NAMESPACES};

register!(Registration::Discovery(
    DiscoveryPlugin::new("endpoint", FAMILY, |context| Ok(Arc::new(Endpoints(
        Session::of(context)?
    ))))
    .namespaces(NAMESPACES)
    .description("Lists the URLs in the catalog of the service type in the parameter, or of all types")
    .scope(Scope::Shared)
    .partition(PartitionMode::Resource)
    // The catalog is part of the token's answer.
    .calls(&[TOKEN])
));

struct Endpoints(Arc<Session>);

#[async_trait]
impl Discovery for Endpoints {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        let wanted = run.parameter().filter(|service_type| !service_type.is_empty());
        let mut urls = self.0.catalog_urls(wanted).await?;
        urls.sort_unstable();
        // Services may share a URL.
        urls.dedup();
        for url in urls {
            run.push(Resource::new(url)).await?;
        }
        Ok(())
    }
}
