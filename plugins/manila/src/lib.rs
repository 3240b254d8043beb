//! Shares of Manila.
//!
//! Names, units, ids, metadata and status numbers are those of ceilometer's discovery `manila_shares` and meters
//! `manila.share.*`. Like ceilometer's, the requests have no microversion: a share's type is its name.

use nephoscope_openstack::{List, Metadata, Root, ServiceDef, TOKEN, Table, id, number, status};
use nephoscope_plugin::model::{MeterDef, Value};
use nephoscope_plugin::{
    CallDef, CallRate, DiscoveryPlugin, Family, PartitionMode, PollsterPlugin, Registration, Scope, register,
};

const FAMILY: &str = "manila";
const NAMESPACES: &[&str] = &["central"];

const STATUS: &[(&str, i64)] = &[
    ("available", 1),
    ("creating", 2),
    ("deleting", 3),
    ("error", 4),
    ("error_deleting", 5),
    ("migrating", 6),
    ("extending", 7),
    ("shrinking", 8),
    ("reverting", 9),
    ("inactive", 10),
    ("manage_starting", 11),
    ("manage_error", 12),
    ("unmanage_starting", 13),
    ("unmanage_error", 14),
    ("unmanaged", 15),
    ("extending_error", 16),
    ("shrinking_error", 17),
    ("reverting_error", 18),
    ("awaiting_transfer", 19),
    ("backup_creating", 20),
    ("backup_restoring", 21),
    ("backup_restoring_error", 22),
    ("creating_from_snapshot", 23),
    ("shrinking_possible_data_loss_error", 24),
    ("migrating_to", 25),
    ("replication_change", 26),
];

static MANILA: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "shared-file-system",
    root: Root::Endpoint,
    microversion: None,
};

static SHARES: Table = Table {
    service: &MANILA,
    call: CallDef::new(FAMILY, "GET", "/v2/shares/detail")
        .role("admin")
        .rate(CallRate::PerPage(1000)),
    list: List::Member("shares"),
    request: |request| request.query("all_tenants", "True").paged(),
    key: id,
    project: &["project_id"],
    user: &["user_id"],
    metadata: &[
        Metadata::of("name"),
        Metadata::of("availability_zone"),
        Metadata::of("share_type"),
        Metadata::of("share_network_id"),
        Metadata::of("status"),
        Metadata::of("host"),
        Metadata::of("is_public"),
        Metadata::named("protocol", "share_proto"),
    ],
    members: &["id", "size"],
    meters: &[
        (
            MeterDef::gauge(
                "manila.share.status",
                "status",
                "Status: 1 available, 2 creating, 3 deleting, 4 error, 5 to 26 other states of Manila, -1 unknown",
            ),
            |share| Ok(Some(status(share.text("status"), STATUS))),
        ),
        (
            MeterDef::gauge("manila.share.size", "GiB", "Size of the share"),
            |share| match share.get("size") {
                Value::Null => Ok(Some(0_i64.into())),
                size => number(size),
            },
        ),
    ],
};

register!(Registration::Family(Family::new(FAMILY, "Manila shares")));

register!(Registration::Discovery(
    DiscoveryPlugin::new("manila_shares", FAMILY, |context| SHARES.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the shares of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[SHARES.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("manila.share", FAMILY, |context| SHARES.pollster(context))
        .namespaces(NAMESPACES)
        .description("Statuses and sizes of shares")
        .meters(&const { SHARES.meter_defs::<2>() })
        .default_discovery("manila_shares")
));
