//! The discoveries of this host's instances and of the host itself.

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
use crate::nova::{NovaServer, ServerList, Servers};
use crate::options::Method;
use crate::session::LIBVIRT;
use crate::snapshot::{Domain, Snapshot};

/// Nova gets this fraction (1/n) of the time that remains after libvirt's answer.
const NOVA_TIME_DIVISOR: u32 = 2;

/// The discovery `local_instances`: the instances of this host, from their domains or from Nova.
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
    /// Returns the instances and their keys.
    async fn instances(&self, run: &DiscoveryRun) -> Result<Vec<(String, Instance)>, Failure> {
        // The call that lists the domains also returns the statistics for the pollsters.
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

    /// Lists the servers that Nova reports.
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
            server: Server::from_nova(server, &listed, &self.0.options),
        };
        let servers = listed.servers.values();
        Ok(servers
            .map(|server| (server.id.clone(), instance(server)))
            .collect())
    }

    /// Lists the domains that Nova created.
    async fn by_domains(
        &self,
        run: &DiscoveryRun,
        snapshot: &Snapshot,
    ) -> Result<Vec<(String, Instance)>, Failure> {
        let listed = self.servers_with_metadata(run, snapshot).await;
        if let Some(ids) = &self.0.nova.flavor_ids {
            let names = without_id(snapshot, listed.as_deref());
            ids.refresh(&names, run.cycle().start, until(run)).await;
        }
        let domains = snapshot.domains.iter();
        Ok(domains
            .filter_map(|domain| self.instance(domain, listed.as_deref()))
            .collect())
    }

    /// Returns the servers with their user metadata, if it is enabled and available. Instances are measured without it too.
    async fn servers_with_metadata(
        &self,
        run: &DiscoveryRun,
        snapshot: &Snapshot,
    ) -> Option<Arc<ServerList>> {
        let servers = self.0.nova.servers.as_ref()?;
        let listed = servers
            .of_cycle(run.cycle().start, until(run), Some(snapshot))
            .await;
        let listed = listed.map_err(|error| Failure::from(error).chain());
        self.0.report_metadata(listed.as_ref().err().map(String::as_str));
        listed.ok()
    }

    /// Returns a domain's instance and its key; `None` if Nova did not create the domain.
    fn instance(&self, domain: &Domain, listed: Option<&ServerList>) -> Option<(String, Instance)> {
        let definition = domain.definition.as_ref()?.as_ref().as_ref().ok()?;
        let nova = definition.nova.as_ref()?;
        let key = domain.stats.uuid.to_string();
        let server = nova.as_ref().map_err(ToString::to_string).map(|nova| {
            let server = listed.and_then(|listed| listed.servers.get(&key));
            let flavor_id = self.0.flavor_id(&nova.flavor, server.map(AsRef::as_ref));
            let user_metadata = server.map(|server| &server.metadata);
            let (host, options) = (&self.0.host, &self.0.options);
            Server::from_domain(
                host,
                &domain.stats,
                definition,
                nova,
                &flavor_id,
                user_metadata,
                options,
            )
        });
        let instance = Instance {
            identity: Identity::Uuid(domain.stats.uuid),
            source: Source::Domain,
            server,
        };
        Some((key, instance))
    }
}

/// Returns the names of flavors without a known id.
fn without_id<'a>(snapshot: &'a Snapshot, listed: Option<&ServerList>) -> BTreeSet<&'a str> {
    let name = |domain: &'a Domain| {
        let definition = domain.definition.as_ref()?.as_ref().as_ref().ok()?;
        let flavor = &definition.nova.as_ref()?.as_ref().ok()?.flavor;
        let server = listed.and_then(|listed| listed.servers.get(&domain.stats.uuid.to_string()));
        let has_id = server.is_some_and(|server| server.flavor_id().is_some());
        (flavor.id.is_none() && !has_id).then_some(flavor.name.as_str())
    };
    snapshot.domains.iter().filter_map(name).collect()
}

/// Returns the deadline of requests to Nova.
fn until(run: &DiscoveryRun) -> Instant {
    let now = Instant::now();
    now + run.deadline().saturating_duration_since(now) / NOVA_TIME_DIVISOR
}

/// The discovery `local_node`: this host.
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
            "the discovery `{name}` accepts no parameter"
        ))),
    }
}
