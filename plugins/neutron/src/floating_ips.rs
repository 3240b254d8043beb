//! Statuses of floating IPs.

use nephoscope_openstack::{List, Metadata, TOKEN, Table, id};
use nephoscope_plugin::model::MeterDef;
use nephoscope_plugin::{DiscoveryPlugin, PartitionMode, PollsterPlugin, Registration, Scope, register};

use crate::{FAMILY, NAMESPACES, NEUTRON, get, status_of};

static FLOATING_IPS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/floatingips"),
    list: List::Member("floatingips"),
    request: |request| request,
    key: id,
    project: &["tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("router_id"),
        Metadata::of("status"),
        Metadata::of("floating_network_id"),
        Metadata::of("fixed_ip_address"),
        Metadata::of("port_id"),
        Metadata::of("floating_ip_address"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "ip.floating",
            "ip",
            "Status: 1 active, 3 down, 7 error, -1 unknown",
        ),
        status_of,
    )],
};

register!(Registration::Discovery(
    DiscoveryPlugin::new("fip_services", FAMILY, |context| FLOATING_IPS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the floating IPs of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[FLOATING_IPS.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("ip.floating", FAMILY, |context| FLOATING_IPS.pollster(context))
        .namespaces(NAMESPACES)
        .description("Statuses of floating IPs")
        .meters(&const { FLOATING_IPS.meter_defs::<1>() })
        .default_discovery("fip_services")
));
