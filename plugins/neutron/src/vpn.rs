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
            "Status: 0 inactive, 1 active, 2 to be created, 3 down, 4 created, 5 updated, 6 deleted, 7 error, -1 another",
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
        // The pre-shared key is not even read. (Ceilometer publishes it.)
        Metadata::made("psk", |_| "***".into()),
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
            "1 for each connection",
        ),
        one,
    )],
};

register!(Registration::Discovery(DiscoveryPlugin {
    name: "vpn_services",
    family: FAMILY,
    namespaces: NAMESPACES,
    description: "Lists the VPN services of all projects",
    scope: Scope::Shared,
    partition: PartitionMode::Listing,
    calls: &[SERVICES.call, TOKEN],
    build: |context| SERVICES.discovery(context),
}));

register!(Registration::Discovery(DiscoveryPlugin {
    name: "ipsec_connections",
    family: FAMILY,
    namespaces: NAMESPACES,
    description: "Lists the IPsec connections of all projects",
    scope: Scope::Shared,
    partition: PartitionMode::Listing,
    calls: &[CONNECTIONS.call, TOKEN],
    build: |context| CONNECTIONS.discovery(context),
}));

register!(Registration::Pollster(PollsterPlugin {
    name: "network.services.vpn",
    family: FAMILY,
    namespaces: NAMESPACES,
    description: "Statuses of VPN services",
    meters: &const { SERVICES.meter_defs::<1>() },
    default_discovery: Some("vpn_services"),
    endpoint: None,
    calls: &[],
    build: |context| SERVICES.pollster(context),
}));

register!(Registration::Pollster(PollsterPlugin {
    name: "network.services.vpn.connections",
    family: FAMILY,
    namespaces: NAMESPACES,
    description: "That an IPsec connection exists",
    meters: &const { CONNECTIONS.meter_defs::<1>() },
    default_discovery: Some("ipsec_connections"),
    endpoint: None,
    calls: &[],
    build: |context| CONNECTIONS.pollster(context),
}));
