//! Load balancers of Octavia.
//!
//! Names, units, ids, metadata and status numbers are those of ceilometer's discovery `lb_services` and meters
//! `loadbalancer.*`.

use nephoscope_openstack::{List, Metadata, Root, ServiceDef, TOKEN, Table, id, status};
use nephoscope_plugin::model::MeterDef;
use nephoscope_plugin::{
    CallDef, CallRate, DiscoveryPlugin, Family, PartitionMode, PollsterPlugin, Registration, Scope, register,
};

const FAMILY: &str = "octavia";
const NAMESPACES: &[&str] = &["central"];

const OPERATING: &[(&str, i64)] = &[
    ("online", 1),
    ("draining", 2),
    ("offline", 3),
    ("degraded", 4),
    ("error", 5),
    ("no_monitor", 6),
];

const PROVISIONING: &[(&str, i64)] = &[
    ("active", 1),
    ("deleted", 2),
    ("error", 3),
    ("pending_create", 4),
    ("pending_update", 5),
    ("pending_delete", 6),
];

static OCTAVIA: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "load-balancer",
    root: Root::Endpoint,
    microversion: None,
};

static LOAD_BALANCERS: Table = Table {
    service: &OCTAVIA,
    call: CallDef::new(FAMILY, "GET", "/v2.0/lbaas/loadbalancers")
        .role("load-balancer_global_observer")
        .rate(CallRate::PerPage(1000)),
    list: List::Member("loadbalancers"),
    request: |request| request.paged(),
    key: id,
    project: &["project_id"],
    user: &[],
    metadata: &[
        Metadata::of("name"),
        Metadata::of("availability_zone"),
        Metadata::of("vip_address"),
        Metadata::of("vip_port_id"),
        Metadata::of("provisioning_status"),
        Metadata::of("operating_status"),
        Metadata::of("provider"),
        Metadata::of("flavor_id"),
    ],
    members: &["id"],
    meters: &[
        (
            MeterDef::gauge(
                "loadbalancer.operating",
                "status",
                "Operating status: 1 online, 2 draining, 3 offline, 4 degraded, 5 error, 6 no monitor, -1 unknown",
            ),
            |balancer| Ok(Some(status(balancer.text("operating_status"), OPERATING))),
        ),
        (
            MeterDef::gauge(
                "loadbalancer.provisioning",
                "status",
                "Provisioning status: 1 active, 2 deleted, 3 error, 4 pending create, 5 pending update, 6 pending delete, -1 unknown",
            ),
            |balancer| Ok(Some(status(balancer.text("provisioning_status"), PROVISIONING))),
        ),
    ],
};

register!(Registration::Family(Family::new(
    FAMILY,
    "Octavia load balancers"
)));

register!(Registration::Discovery(
    DiscoveryPlugin::new("lb_services", FAMILY, |context| LOAD_BALANCERS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the load balancers of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[LOAD_BALANCERS.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("loadbalancer", FAMILY, |context| LOAD_BALANCERS.pollster(context))
        .namespaces(NAMESPACES)
        .description("Statuses of load balancers")
        .meters(&const { LOAD_BALANCERS.meter_defs::<2>() })
        .default_discovery("lb_services")
));
