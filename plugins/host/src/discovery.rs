//! The discovery of this machine.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::Resource;
use nephoscope_plugin::{Discovery, DiscoveryRun, Failure};

/// The discovery `host`: one resource, whose key is the host's name.
pub(crate) struct HostDiscovery {
    host: Arc<str>,
}

impl HostDiscovery {
    pub(crate) fn new(host: Arc<str>) -> Self {
        Self { host }
    }
}

#[async_trait]
impl Discovery for HostDiscovery {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        if run.parameter().is_some_and(|parameter| !parameter.is_empty()) {
            return Err(Failure::permanent("the discovery `host` accepts no parameter"));
        }
        run.push(Resource::new(self.host.clone())).await?;
        Ok(())
    }
}
