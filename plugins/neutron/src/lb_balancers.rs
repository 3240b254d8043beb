//! Neutron's load balancers (LBaaS), their health monitors, and the VIPs of LBaaS v1.

use nephoscope_openstack::{List, Metadata, TOKEN, Table, id};
use nephoscope_plugin::model::MeterDef;
use nephoscope_plugin::{DiscoveryPlugin, PartitionMode, PollsterPlugin, Registration, Scope, register};

use crate::lb_operating::operating;
use crate::{FAMILY, NAMESPACES, NEUTRON, get, one, status_of};

pub(crate) static BALANCERS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/lbaas/loadbalancers"),
    list: List::Member("loadbalancers"),
    request: |request| request,
    key: id,
    project: &["tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("admin_state_up"),
        Metadata::of("description"),
        Metadata::of("vip_address"),
        Metadata::of("listeners"),
        Metadata::of("name"),
        Metadata::of("vip_subnet_id"),
        Metadata::of("operating_status"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.lb.loadbalancer",
            "loadbalancer",
            "Status: 0 offline, 1 online, 3 no monitor, 4 error, 5 degraded, 6 disabled",
        ),
        operating,
    )],
};

static MONITORS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/lbaas/healthmonitors"),
    list: List::Member("healthmonitors"),
    request: |request| request,
    key: id,
    project: &["tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("admin_state_up"),
        Metadata::of("delay"),
        Metadata::of("max_retries"),
        Metadata::of("pools"),
        Metadata::of("timeout"),
        Metadata::of("type"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.lb.health_monitor",
            "health_monitor",
            "1 for each health monitor",
        ),
        one,
    )],
};

/// Only LBaaS v1 has VIPs; ceilometer lists them with every version.
static VIPS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/lb/vips"),
    list: List::Member("vips"),
    request: |request| request,
    key: id,
    project: &["tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("admin_state_up"),
        Metadata::of("address"),
        Metadata::of("connection_limit"),
        Metadata::of("description"),
        Metadata::of("name"),
        Metadata::of("pool_id"),
        Metadata::of("port_id"),
        Metadata::of("protocol"),
        Metadata::of("protocol_port"),
        Metadata::of("status"),
        Metadata::of("status_description"),
        Metadata::of("subnet_id"),
        Metadata::of("session_persistence"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.lb.vip",
            "vip",
            "0 inactive, 1 active, 2 pending create, 3 down, 4 created, 5 pending update, 6 pending delete, 7 error, -1 unknown",
        ),
        status_of,
    )],
};

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_loadbalancers", FAMILY, |context| BALANCERS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists Neutron's load balancers (LBaaS) of all projects")
        .scope(Scope::Shared)
        // Traffic takes one request per balancer, so the balancers are divided among the agents.
        .partition(PartitionMode::Resource)
        .calls(&[BALANCERS.call, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_health_probes", FAMILY, |context| MONITORS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the LBaaS health monitors of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[MONITORS.call, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_vips", FAMILY, |context| VIPS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the LBaaS v1 VIPs of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[VIPS.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.loadbalancer", FAMILY, |context| BALANCERS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of LBaaS load balancers")
    .meters(&const { BALANCERS.meter_defs::<1>() })
    .default_discovery("lb_loadbalancers")
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.health_monitor", FAMILY, |context| MONITORS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Existence of LBaaS health monitors")
    .meters(&const { MONITORS.meter_defs::<1>() })
    .default_discovery("lb_health_probes")
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.vip", FAMILY, |context| VIPS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of LBaaS v1 VIPs")
    .meters(&const { VIPS.meter_defs::<1>() })
    .default_discovery("lb_vips")
));
