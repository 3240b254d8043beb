//! Zones of Designate, and their numbers of record sets.
//!
//! Names, units, ids, metadata and status numbers are those of ceilometer's discovery `dns_zones` and meters
//! `dns.zone.*`. The number of record sets is the total in Designate's answer, one request per zone; ceilometer lists all.

mod record_sets;

use nephoscope_openstack::{List, Metadata, Root, ServiceDef, TOKEN, Table, id, number, status};
use nephoscope_plugin::model::{MeterDef, Value};
use nephoscope_plugin::{
    CallDef, CallRate, DiscoveryPlugin, Family, PartitionMode, PollsterPlugin, Registration, Scope, register,
};

const FAMILY: &str = "designate";
const NAMESPACES: &[&str] = &["central"];

/// The header that makes Designate return the zones of all projects.
const ALL_PROJECTS: (&str, &str) = ("x-auth-all-projects", "True");

const STATUS: &[(&str, i64)] = &[("active", 1), ("pending", 2), ("error", 3), ("deleted", 4)];

static DESIGNATE: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "dns",
    root: Root::Endpoint,
    microversion: None,
};

static ZONES: Table = Table {
    service: &DESIGNATE,
    call: get("/v2/zones", CallRate::PerPage(1000)),
    list: List::Member("zones"),
    request: |request| request.header(ALL_PROJECTS.0, ALL_PROJECTS.1).paged(),
    key: id,
    project: &["project_id"],
    user: &[],
    metadata: &[
        Metadata::of("name"),
        Metadata::of("email"),
        Metadata::of("ttl"),
        Metadata::of("description"),
        Metadata::of("type"),
        Metadata::of("status"),
        Metadata::of("action"),
        Metadata::of("serial"),
        Metadata::of("pool_id"),
    ],
    members: &["id"],
    meters: &[
        (
            MeterDef::gauge(
                "dns.zone.status",
                "status",
                "Status: 1 active, 2 pending, 3 error, 4 deleted, -1 unknown",
            ),
            |zone| Ok(Some(status(zone.text("status"), STATUS))),
        ),
        (
            MeterDef::gauge("dns.zone.ttl", "second", "TTL of the zone"),
            |zone| or_zero(zone.get("ttl")),
        ),
        (
            MeterDef::gauge("dns.zone.serial", "serial", "Serial number of the zone"),
            |zone| or_zero(zone.get("serial")),
        ),
    ],
};

/// Returns a number; 0 if it is null.
fn or_zero(value: &Value) -> nephoscope_openstack::Measured {
    Ok(number(value)?.or(Some(0_i64.into())))
}

const fn get(path: &'static str, rate: CallRate) -> CallDef {
    CallDef::new(FAMILY, "GET", path).role("admin").rate(rate)
}

register!(Registration::Family(Family::new(FAMILY, "Designate zones")));

register!(Registration::Discovery(
    DiscoveryPlugin::new("dns_zones", FAMILY, |context| ZONES.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the zones of all projects")
        .scope(Scope::Shared)
        // Counting record sets takes one request per zone, so the zones are divided among the agents.
        .partition(PartitionMode::Resource)
        .calls(&[ZONES.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("dns.zone", FAMILY, |context| ZONES.pollster(context))
        .namespaces(NAMESPACES)
        .description("Statuses, TTLs and serial numbers of zones")
        .meters(&const { ZONES.meter_defs::<3>() })
        .default_discovery("dns_zones")
));
