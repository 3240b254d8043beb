//! Load balancers of Neutron's own (LBaaS), their health monitors, and the VIPs of its first version.

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

/// LBaaS has VIPs in its first version only, and ceilometer lists them there whatever the version.
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
            "Status: 0 inactive, 1 active, 2 to be created, 3 down, 4 created, 5 updated, 6 deleted, 7 error, -1 another",
        ),
        status_of,
    )],
};

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_loadbalancers", FAMILY, |context| BALANCERS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the load balancers of Neutron's own (LBaaS) of all projects")
        .scope(Scope::Shared)
        // Their traffic costs a request each: that work is worth dividing.
        .partition(PartitionMode::Resource)
        .calls(&[BALANCERS.call, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_health_probes", FAMILY, |context| MONITORS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the health monitors of LBaaS of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[MONITORS.call, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_vips", FAMILY, |context| VIPS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the VIPs of the first version of LBaaS of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[VIPS.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.loadbalancer", FAMILY, |context| BALANCERS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of load balancers of LBaaS")
    .meters(&const { BALANCERS.meter_defs::<1>() })
    .default_discovery("lb_loadbalancers")
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.health_monitor", FAMILY, |context| MONITORS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("That a health monitor of LBaaS exists")
    .meters(&const { MONITORS.meter_defs::<1>() })
    .default_discovery("lb_health_probes")
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.vip", FAMILY, |context| VIPS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of VIPs of LBaaS")
    .meters(&const { VIPS.meter_defs::<1>() })
    .default_discovery("lb_vips")
));
