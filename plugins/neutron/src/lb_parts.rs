//! Parts of Neutron's load balancers (LBaaS): listeners, pools, members.

use std::sync::Arc;

use nephoscope_openstack::{List, Metadata, Record, Service, Session, TOKEN, Table, id, no_parameter};
use nephoscope_plugin::model::{MeterDef, Resource};
use nephoscope_plugin::{
    BuildContext, BuildError, CallRate, Discovery, DiscoveryPlugin, DiscoveryRun, Failure, PartitionMode,
    PollsterPlugin, Registration, Scope, async_trait, register,
};

use crate::lb_balancers::BALANCERS;
use crate::lb_operating::{number, operating};
use crate::lb_statuses::{STATUSES, Statuses};
use crate::{FAMILY, NAMESPACES, NEUTRON, get};

static LISTENERS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/lbaas/listeners"),
    list: List::Member("listeners"),
    request: |request| request,
    key: id,
    project: &["tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("admin_state_up"),
        Metadata::of("connection_limit"),
        Metadata::of("description"),
        Metadata::of("name"),
        Metadata::of("default_pool_id"),
        Metadata::of("protocol"),
        Metadata::of("protocol_port"),
        Metadata::of("operating_status"),
        Metadata::of("loadbalancers"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.lb.listener",
            "listener",
            "Status: 0 offline, 1 online, 3 no monitor, 4 error, 5 degraded, 6 disabled",
        ),
        operating,
    )],
};

static POOLS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/lbaas/pools"),
    list: List::Member("pools"),
    request: |request| request,
    key: id,
    project: &["tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("admin_state_up"),
        Metadata::of("description"),
        Metadata::named("lb_method", "lb_algorithm"),
        Metadata::of("name"),
        Metadata::of("protocol"),
        // Pools of LBaaS v1 had these members; ceilometer still publishes them.
        Metadata::computed("provider", |_| "".into()),
        Metadata::of("status"),
        Metadata::named("status_description", "status"),
        Metadata::computed("subnet_id", |_| "".into()),
        Metadata::computed("vip_id", |_| "".into()),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.lb.pool",
            "pool",
            "Status: 0 offline, 1 online, 3 no monitor, 4 error, 5 degraded, 6 disabled",
        ),
        |pool| number(pool.text("status")),
    )],
};

static MEMBERS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/lbaas/pools/{pool}/members").rate(CallRate::PerResource),
    list: List::Member("members"),
    request: |request| request,
    key: id,
    project: &["tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("admin_state_up"),
        Metadata::of("address"),
        Metadata::of("pool_id"),
        Metadata::of("protocol_port"),
        Metadata::of("status"),
        Metadata::named("status_description", "status"),
        Metadata::of("weight"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.lb.member",
            "member",
            "Status: 0 offline, 1 online, 3 no monitor, 4 error, 5 degraded, 6 disabled",
        ),
        |member| number(member.text("status")),
    )],
};

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_listeners", FAMILY, |context| Parts::build(
        context,
        Kind::Listeners
    ))
    .namespaces(NAMESPACES)
    .description("Lists the LBaaS listeners of all projects")
    .scope(Scope::Shared)
    .partition(PartitionMode::Listing)
    .calls(&[LISTENERS.call, BALANCERS.call, STATUSES, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_pools", FAMILY, |context| Parts::build(context, Kind::Pools))
        .namespaces(NAMESPACES)
        .description("Lists the LBaaS pools of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[POOLS.call, BALANCERS.call, STATUSES, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_members", FAMILY, |context| Parts::build(
        context,
        Kind::Members
    ))
    .namespaces(NAMESPACES)
    .description("Lists the LBaaS pool members of all projects")
    .scope(Scope::Shared)
    .partition(PartitionMode::Listing)
    .calls(&[POOLS.call, MEMBERS.call, BALANCERS.call, STATUSES, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.listener", FAMILY, |context| LISTENERS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of LBaaS listeners")
    .meters(&const { LISTENERS.meter_defs::<1>() })
    .default_discovery("lb_listeners")
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.pool", FAMILY, |context| POOLS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of LBaaS pools")
    .meters(&const { POOLS.meter_defs::<1>() })
    .default_discovery("lb_pools")
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.member", FAMILY, |context| MEMBERS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of LBaaS pool members")
    .meters(&const { MEMBERS.meter_defs::<1>() })
    .default_discovery("lb_members")
));

/// The parts that a discovery lists.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Listeners,
    Pools,
    Members,
}

struct Parts {
    neutron: Service,
    kind: Kind,
}

impl Parts {
    fn build(context: &BuildContext, kind: Kind) -> Result<Arc<dyn Discovery>, BuildError> {
        let neutron = Session::of(context)?.service(&NEUTRON);
        Ok(Arc::new(Self { neutron, kind }))
    }

    async fn members(
        &self,
        pool: &str,
        neutron: &Service,
        statuses: &Statuses,
        run: &mut DiscoveryRun,
    ) -> Result<(), Failure> {
        let mut members = MEMBERS.entries_of(neutron.request(&MEMBERS.call).segment(pool));
        while let Some((id, mut member)) = members.next().await? {
            set(&mut member, "status", statuses.member(pool, &id));
            member.set("pool_id", pool.to_owned());
            run.push(Resource::with_body(id, member)).await?;
        }
        Ok(())
    }
}

fn set(record: &mut Record, name: &str, status: Option<&str>) {
    record.set(name, status.map(str::to_owned));
}

#[async_trait]
impl Discovery for Parts {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        no_parameter(run)?;
        let neutron = self.neutron.shared_by(run.members());
        let statuses = Statuses::of(run.cache(), &neutron).await?;
        let table = match self.kind {
            Kind::Listeners => &LISTENERS,
            Kind::Pools | Kind::Members => &POOLS,
        };
        let mut entries = table.entries(&neutron);
        let mut failure = None;
        while let Some((id, mut part)) = entries.next().await? {
            match self.kind {
                Kind::Listeners => set(&mut part, "operating_status", statuses.listener(&id)),
                Kind::Pools => set(&mut part, "status", statuses.pool(&id)),
                Kind::Members => {
                    // If a pool fails, only its members are missing.
                    let listed = self.members(&id, &neutron, &statuses, run).await;
                    failure = failure.or(listed.err());
                    continue;
                }
            }
            run.push(Resource::with_body(id, part)).await?;
        }
        failure.map_or(Ok(()), Err)
    }
}
