//! Firewall groups and policies.

use nephoscope_openstack::{List, Metadata, TOKEN, Table, id};
use nephoscope_plugin::model::MeterDef;
use nephoscope_plugin::{DiscoveryPlugin, PartitionMode, PollsterPlugin, Registration, Scope, register};

use crate::{FAMILY, NAMESPACES, NEUTRON, get, one, status_of};

static GROUPS: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/fwaas/firewall_groups"),
    list: List::Member("firewall_groups"),
    request: |request| request,
    key: id,
    project: &["project_id", "tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("admin_state_up"),
        Metadata::of("description"),
        Metadata::of("name"),
        Metadata::of("status"),
        Metadata::of("ingress_firewall_policy_id"),
        Metadata::of("egress_firewall_policy_id"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.firewall",
            "firewall",
            "0 inactive, 1 active, 2 pending create, 3 down, 4 created, 5 pending update, 6 pending delete, 7 error, -1 unknown",
        ),
        status_of,
    )],
};

static POLICIES: Table = Table {
    service: &NEUTRON,
    call: get("/v2.0/fwaas/firewall_policies"),
    list: List::Member("firewall_policies"),
    request: |request| request,
    key: id,
    project: &["project_id", "tenant_id"],
    user: &[],
    metadata: &[
        Metadata::of("name"),
        Metadata::of("description"),
        Metadata::of("firewall_rules"),
        Metadata::of("shared"),
        Metadata::of("audited"),
    ],
    members: &["id"],
    meters: &[(
        MeterDef::gauge(
            "network.services.firewall.policy",
            "firewall_policy",
            "1 for each firewall policy",
        ),
        one,
    )],
};

register!(Registration::Discovery(
    DiscoveryPlugin::new("fw_services", FAMILY, |context| GROUPS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the firewall groups of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[GROUPS.call, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("fw_policy", FAMILY, |context| POLICIES.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the firewall policies of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[POLICIES.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.firewall", FAMILY, |context| GROUPS
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Statuses of firewall groups")
    .meters(&const { GROUPS.meter_defs::<1>() })
    .default_discovery("fw_services")
));

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.firewall.policy", FAMILY, |context| POLICIES
        .pollster(context))
    .namespaces(NAMESPACES)
    .description("Existence of firewall policies")
    .meters(&const { POLICIES.meter_defs::<1>() })
    .default_discovery("fw_policy")
));
