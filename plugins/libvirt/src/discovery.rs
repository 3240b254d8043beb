//! Lists the instances of this host, and the host itself.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::Resource;
use nephoscope_plugin::{Discovery, DiscoveryRun, Failure, Stopped};

use crate::family::Family;
use crate::hypervisor::Domain;
use crate::instance::{Instance, Server};
use crate::measure::Wanted;

/// The discovery `local_instances`: the domains that Nova made, by what it wrote into them.
pub(crate) struct LocalInstances(pub(crate) Arc<Family>);

#[async_trait]
impl Discovery for LocalInstances {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        without_parameter("local_instances", run)?;
        // The call that lists the domains brings what pollsters want of them.
        let wanted = Wanted::of(&self.0.options, |meter| run.wants(meter));
        let cache = run.cache().clone();
        let cancellation = run.cancellation().clone();
        let snapshot = tokio::select! {
            biased;
            () = cancellation.cancelled() => return Err(Stopped.into()),
            snapshot = self.0.hypervisor.of_cycle(&cache, wanted.groups, run.deadline()) => snapshot,
        };
        let snapshot = snapshot.as_ref().as_ref().map_err(Failure::from)?;
        for domain in &snapshot.domains {
            if let Some(instance) = self.instance(domain) {
                run.push(Resource::with_body(instance.uuid.to_string(), instance))
                    .await?;
            }
        }
        Ok(())
    }
}

impl LocalInstances {
    /// The instance that a domain is; nothing if it is not Nova's.
    fn instance(&self, domain: &Domain) -> Option<Instance> {
        let definition = domain.definition.as_ref()?.as_ref().as_ref().ok()?;
        let nova = definition.nova.as_ref()?;
        let server = nova.as_ref().map_err(ToString::to_string).map(|nova| {
            let flavor_id = self.0.flavor_id(&nova.flavor);
            Server::of(&self.0.host, &domain.stats, definition, nova, flavor_id)
        });
        Some(Instance {
            uuid: domain.stats.uuid,
            server,
        })
    }
}

/// The discovery `local_node`: this host, by its name.
pub(crate) struct LocalNode(pub(crate) Arc<str>);

#[async_trait]
impl Discovery for LocalNode {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        without_parameter("local_node", run)?;
        run.push(Resource::new(self.0.clone())).await?;
        Ok(())
    }
}

fn without_parameter(name: &str, run: &DiscoveryRun) -> Result<(), Failure> {
    match run.parameter() {
        None | Some("") => Ok(()),
        Some(_) => Err(Failure::permanent(format!(
            "the discovery `{name}` takes no parameter"
        ))),
    }
}
