//! Lists the instances of this host, and the host itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::Resource;
use nephoscope_plugin::{Call, CallRate, Discovery, DiscoveryRun, Failure, Stopped};
use tokio::time::Instant;

use crate::family::Family;
use crate::identity::Identity;
use crate::instance::{Instance, Server, Source};
use crate::measure::Wanted;
use crate::nova::{Listed, NovaServer, Servers};
use crate::options::Method;
use crate::session::LIBVIRT;
use crate::snapshot::{Domain, Snapshot};

/// Of what is left of the time when libvirt has answered, Nova has this part.
const NOVAS_PART: u32 = 2;

/// The discovery `local_instances`: the instances of this host, by their domains or by Nova.
pub(crate) struct LocalInstances(pub(crate) Arc<Family>);

#[async_trait]
impl Discovery for LocalInstances {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        without_parameter("local_instances", run)?;
        let cancellation = run.cancellation().clone();
        let instances = tokio::select! {
            biased;
            () = cancellation.cancelled() => return Err(Stopped.into()),
            instances = self.instances(run) => instances?,
        };
        for (key, instance) in instances {
            run.push(Resource::with_body(key, instance)).await?;
        }
        Ok(())
    }

    fn rate(&self, call: &Call) -> Option<CallRate> {
        match &*call.service {
            LIBVIRT => Some(call.rate),
            _ => self.0.nova.rate(call),
        }
    }
}

impl LocalInstances {
    /// The instances, with their keys.
    async fn instances(&self, run: &DiscoveryRun) -> Result<Vec<(String, Instance)>, Failure> {
        // The call that lists the domains brings what pollsters want of them.
        let wanted = Wanted::of(&self.0.options, |meter| run.wants(meter));
        let hypervisor = &self.0.hypervisor;
        let snapshot = hypervisor
            .of_cycle(run.cache(), wanted.groups, run.deadline())
            .await;
        let snapshot = snapshot.as_ref().as_ref();
        match (self.0.options.instance_discovery_method, &self.0.nova.servers) {
            (Method::Naive | Method::WorkloadPartitioning, Some(servers)) => {
                self.by_nova(run, servers, snapshot.ok()).await
            }
            _ => self.by_domains(run, snapshot.map_err(Failure::from)?).await,
        }
    }

    /// Those that Nova tells of.
    async fn by_nova(
        &self,
        run: &DiscoveryRun,
        servers: &Servers,
        snapshot: Option<&Snapshot>,
    ) -> Result<Vec<(String, Instance)>, Failure> {
        let listed = servers.of_cycle(run.cycle().start, until(run), snapshot).await?;
        let instance = |server: &NovaServer| Instance {
            identity: server.identity(),
            source: Source::Nova,
            server: Server::told(server, &listed, &self.0.options),
        };
        let servers = listed.servers.values();
        Ok(servers
            .map(|server| (server.id.clone(), instance(server)))
            .collect())
    }

    /// Those whose domains are Nova's.
    async fn by_domains(
        &self,
        run: &DiscoveryRun,
        snapshot: &Snapshot,
    ) -> Result<Vec<(String, Instance)>, Failure> {
        let listed = self.noted(run, snapshot).await;
        if let Some(ids) = &self.0.nova.flavor_ids {
            let names = without_id(snapshot, listed.as_deref());
            ids.learn(&names, run.cycle().start, until(run)).await;
        }
        let domains = snapshot.domains.iter();
        Ok(domains
            .filter_map(|domain| self.instance(domain, listed.as_deref()))
            .collect())
    }

    /// The servers with what is noted on them, if that is wanted and Nova tells it. An instance is measured in any case.
    async fn noted(&self, run: &DiscoveryRun, snapshot: &Snapshot) -> Option<Arc<Listed>> {
        let servers = self.0.nova.servers.as_ref()?;
        let listed = servers
            .of_cycle(run.cycle().start, until(run), Some(snapshot))
            .await;
        let listed = listed.map_err(|trouble| Failure::from(trouble).chain());
        self.0.metadata_told(listed.as_ref().err().map(String::as_str));
        listed.ok()
    }

    /// The instance that a domain is, with its key; nothing if it is not Nova's.
    fn instance(&self, domain: &Domain, listed: Option<&Listed>) -> Option<(String, Instance)> {
        let definition = domain.definition.as_ref()?.as_ref().as_ref().ok()?;
        let nova = definition.nova.as_ref()?;
        let key = domain.stats.uuid.to_string();
        let server = nova.as_ref().map_err(ToString::to_string).map(|nova| {
            let told = listed.and_then(|listed| listed.servers.get(&key));
            let flavor_id = self.0.flavor_id(&nova.flavor, told.map(AsRef::as_ref));
            let noted = told.map(|server| &server.metadata);
            let (host, options) = (&self.0.host, &self.0.options);
            Server::written(host, &domain.stats, definition, nova, &flavor_id, noted, options)
        });
        let instance = Instance {
            identity: Identity::Uuid(domain.stats.uuid),
            source: Source::Domain,
            server,
        };
        Some((key, instance))
    }
}

/// The names of flavors whose ids nothing tells yet.
fn without_id<'a>(snapshot: &'a Snapshot, listed: Option<&Listed>) -> BTreeSet<&'a str> {
    let name = |domain: &'a Domain| {
        let definition = domain.definition.as_ref()?.as_ref().as_ref().ok()?;
        let flavor = &definition.nova.as_ref()?.as_ref().ok()?.flavor;
        let told = listed.and_then(|listed| listed.servers.get(&domain.stats.uuid.to_string()));
        let is_told = told.is_some_and(|server| server.flavor_id().is_some());
        (flavor.id.is_none() && !is_told).then_some(flavor.name.as_str())
    };
    snapshot.domains.iter().filter_map(name).collect()
}

/// How long Nova is waited for.
fn until(run: &DiscoveryRun) -> Instant {
    let now = Instant::now();
    now + run.deadline().saturating_duration_since(now) / NOVAS_PART
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
