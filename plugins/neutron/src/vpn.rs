//! VPN services and IPsec connections.

use nephoscope_openstack::{List, Metadata, TOKEN, Table, id};
use nephoscope_plugin::model::MeterDef;
use nephoscope_plugin::{DiscoveryPlugin, PartitionMode, PollsterPlugin, Registration, Scope, register};

use crate::{FAMILY, NAMESPACES, NEUTRON, get, one, status_of};

static SERVICES: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/vpn/vpnservices"),
    list: List::Member("vpnservices"),
    request: |request| request,
    key: id,
    project: &["project_id", "tenant_id"],
    user: &[],
    metadata: &[
        Metadata::named("is_admin_state_up", "admin_state_up"),
        Metadata::of("description"),
        Metadata::of("name"),
        Metadata::of("status"),
        Metadata::of("subnet_id"),
        Metadata::of("router_id"),
        Metadata::of("flavor_id"),
        Metadata::of("external_v4_ip"),
        Metadata::of("external_v6_ip"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.vpn",
            "vpnservice",
            "0 inactive, 1 active, 2 pending create, 3 down, 4 created, 5 pending update, 6 pending delete, 7 error, -1 unknown",
        ),
        status_of,
    )],
};

static CONNECTIONS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/vpn/ipsec-site-connections"),
    list: List::Member("ipsec_site_connections"),
    request: |request| request,
    key: id,
    project: &["project_id", "tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("name"),
        Metadata::of("description"),
        Metadata::of("peer_address"),
        Metadata::of("peer_id"),
        Metadata::of("peer_cidrs"),
        Metadata::of("peer_ep_group_id"),
        // The pre-shared key is not read. (Ceilometer publishes it.)
        Metadata::computed("psk", |_| "***".into()),
        Metadata::of("initiator"),
        Metadata::of("ikepolicy_id"),
        Metadata::of("ipsecpolicy_id"),
        Metadata::of("vpnservice_id"),
        Metadata::of("mtu"),
        Metadata::named("is_admin_state_up", "admin_state_up"),
        Metadata::of("status"),
        Metadata::of("project_id"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.vpn.connections",
            "ipsec_site_connection",
            "1 for each IPsec connection",
        ),
        one,
    )],
};

register!(Registration::Discovery(
    DiscoveryPlugin::new("vpn_services", FAMILY, |context| SERVICES.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the VPN services of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[SERVICES.call, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("ipsec_connections", FAMILY, |context| CONNECTIONS
        .discovery(context))
    .namespaces(NAMESPACES)
    .description("Lists the IPsec connections of all projects")
    .scope(Scope::Shared)
    .partition(PartitionMode::Listing)
    .calls(&[CONNECTIONS.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.vpn", FAMILY, |context| SERVICES
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of VPN services")
    .meters(&const { SERVICES.meter_defs::<1>() })
    .default_discovery("vpn_services")
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.vpn.connections", FAMILY, |context| CONNECTIONS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Existence of IPsec connections")
    .meters(&const { CONNECTIONS.meter_defs::<1>() })
    .default_discovery("ipsec_connections")
));
