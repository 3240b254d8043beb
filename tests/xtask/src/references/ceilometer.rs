//! The page on ceilometer's discoveries and meters: which are the same, corrected, or missing here.
//!
//! The table contains the facts about ceilometer; the catalog determines what exists here.

use std::borrow::Cow;

use nephoscope_plugin::Catalog;

use crate::references::markdown::{Page, code};

const ABOUT: &str = "\
Every discovery and meter of ceilometer's polling agents (27.0.0), and those of earlier versions that are still in use. *Same*: the name, \
type, unit, resource id and metadata are ceilometer's, and so is the value. *Corrected*: the same except for the stated difference. Differences of all meters \
(an invalid resource fails alone, a failed listing is not retried in its cycle, no sample for a value that is null or not a number) are \
in [compatibility](../compatibility.md).";

/// A discovery or meter of ceilometer.
struct Known {
    name: &'static str,
    /// The plugin family that has it, or would have it.
    family: &'static str,
    verdict: Verdict,
}

#[derive(Clone, Copy)]
enum Verdict {
    Same,
    /// The same except for this.
    Corrected(&'static str),
    /// It is missing here, with the reason.
    NotHere(&'static str),
}

use Verdict::{Corrected, NotHere, Same};

const fn known(name: &'static str, family: &'static str, verdict: Verdict) -> Known {
    Known {
        name,
        family,
        verdict,
    }
}

const EXTRA_OF_19: Verdict = Corrected("removed from ceilometer in 2024; with `legacy_meters: true`");
const SHARED_ZONES: Verdict =
    Corrected("ceilometer without a coordination backend measures only one of the four `dns.zone.*`");
const BOTH_STATUSES: Verdict =
    Corrected("ceilometer without a coordination backend measures only one of the two");
const NO_TEXT: Verdict =
    Corrected("no sample where Cinder says `unknown` or `infinite`, which ceilometer publishes as text");
const ONE_GET: Verdict = Corrected(
    "one GET for all meters of an account, which carries the headers of HEAD; only HEAD if no meter of containers is requested",
);
const ALL_CONTAINERS: Verdict = Corrected("all containers; ceilometer sees the first page, 10,000 of them");
const PER_PROJECT: Verdict = Corrected(
    "a project fails alone, and is requested once per cycle; the `$` of a tenant's user is signed as it is sent",
);
const PER_BUCKET: Verdict = Corrected(
    "one sample a bucket, with the sum of its categories; 0 for an empty bucket, for which ceilometer has no sample",
);
const PER_HOST: Verdict =
    Corrected("each agent has all instances of its host; an unreadable one fails alone");
const LEGACY_LB: Verdict = Corrected(
    "removed from ceilometer in 2022; requested if Neutron still has the extension; an unknown status does not affect other resources",
);
const IPMI: Verdict = NotHere("there is no plugin that reads a BMC yet");
const RATE: Verdict = Corrected("bytes a second since the previous cycle; ceilometer never publishes one");

const DISCOVERIES: &[Known] = &[
    known(
        "alarm",
        "aodh",
        Corrected("each alarm is a resource; in ceilometer all of them are one"),
    ),
    known(
        "barbican",
        "barbican",
        Corrected(
            "the resource is the secret's id, and its payload is never shown; a prefix in the endpoint's path is kept",
        ),
    ),
    known("dns_zones", "designate", Same),
    known("endpoint", "keystone", Same),
    known("fip_services", "neutron", Same),
    known("fw_policy", "neutron", Same),
    known(
        "fw_services",
        "neutron",
        Corrected(
            "no filter: ceilometer's drops the status `error` in lower case, which Neutron never sends",
        ),
    ),
    known("images", "glance", Same),
    known("ipsec_connections", "neutron", Same),
    known("lb_services", "octavia", Same),
    known("local_instances", "libvirt", PER_HOST),
    known("local_node", "libvirt", Same),
    known("manila_shares", "manila", Same),
    known(
        "tenant",
        "keystone",
        Corrected(
            "one request for the projects of all domains; `ignore_disabled_projects` excludes those of disabled domains too",
        ),
    ),
    known("volume_backups", "cinder", Same),
    known("volume_pools", "cinder", Same),
    known("volume_services", "cinder", Same),
    known("volume_snapshots", "cinder", Same),
    known("volumes", "cinder", Same),
    known("vpn_services", "neutron", Same),
    known("lb_health_probes", "neutron", LEGACY_LB),
    known("lb_listeners", "neutron", LEGACY_LB),
    known("lb_loadbalancers", "neutron", LEGACY_LB),
    known("lb_members", "neutron", LEGACY_LB),
    known("lb_pools", "neutron", LEGACY_LB),
    known("lb_vips", "neutron", LEGACY_LB),
    known(
        "tripleo_overcloud_nodes",
        "snmp",
        NotHere("there is no SNMP; the plugin `host` measures the machine that the agent runs on"),
    ),
];

const METERS: &[Known] = &[
    known("alarm.evaluation_result", "aodh", Same),
    known(
        "cpu",
        "libvirt",
        Corrected(
            "none if libvirt reports no virtual CPU; `count_steal_time: false` excludes waits for the host's CPU",
        ),
    ),
    known("cpu_l3_cache", "libvirt", EXTRA_OF_19),
    known("disk.device.allocation", "libvirt", Same),
    known(
        "disk.device.capacity",
        "libvirt",
        Corrected("the size that the guest sees, if there is no size of a container"),
    ),
    known("disk.device.read.bytes", "libvirt", Same),
    known("disk.device.read.latency", "libvirt", Same),
    known("disk.device.read.requests", "libvirt", Same),
    known("disk.device.usage", "libvirt", Same),
    known("disk.device.write.bytes", "libvirt", Same),
    known("disk.device.write.latency", "libvirt", Same),
    known("disk.device.write.requests", "libvirt", Same),
    known("disk.ephemeral.size", "libvirt", Same),
    known("disk.root.size", "libvirt", Same),
    known(
        "dns.zone.recordsets",
        "designate",
        Corrected(
            "one request per zone, for the total that Designate reports; ceilometer pages through all record sets",
        ),
    ),
    known("dns.zone.serial", "designate", SHARED_ZONES),
    known("dns.zone.status", "designate", SHARED_ZONES),
    known("dns.zone.ttl", "designate", SHARED_ZONES),
    known("hardware.ipmi.current", "ipmi", IPMI),
    known("hardware.ipmi.fan", "ipmi", IPMI),
    known("hardware.ipmi.power", "ipmi", IPMI),
    known("hardware.ipmi.temperature", "ipmi", IPMI),
    known("hardware.ipmi.voltage", "ipmi", IPMI),
    known(
        "image.size",
        "glance",
        Corrected("no sample of an image without data"),
    ),
    known("ip.floating", "neutron", Same),
    known("loadbalancer.operating", "octavia", BOTH_STATUSES),
    known("loadbalancer.provisioning", "octavia", BOTH_STATUSES),
    known("manila.share.size", "manila", BOTH_STATUSES),
    known("manila.share.status", "manila", BOTH_STATUSES),
    known(
        "memory",
        "libvirt",
        Corrected("all memory of a domain without a balloon"),
    ),
    known("memory.available", "libvirt", Same),
    known("memory.bandwidth.local", "libvirt", EXTRA_OF_19),
    known("memory.bandwidth.total", "libvirt", EXTRA_OF_19),
    known("memory.resident", "libvirt", Same),
    known("memory.swap.in", "libvirt", Same),
    known("memory.swap.out", "libvirt", Same),
    known("memory.usage", "libvirt", Same),
    known("network.incoming.bytes", "libvirt", Same),
    known(
        "network.incoming.bytes.delta",
        "libvirt",
        Corrected("since the previous cycle of the same schedule, independent of other schedules"),
    ),
    known("network.incoming.bytes.rate", "libvirt", RATE),
    known("network.incoming.packets", "libvirt", Same),
    known("network.incoming.packets.drop", "libvirt", Same),
    known("network.incoming.packets.error", "libvirt", Same),
    known("network.outgoing.bytes", "libvirt", Same),
    known(
        "network.outgoing.bytes.delta",
        "libvirt",
        Corrected("since the previous cycle of the same schedule, independent of other schedules"),
    ),
    known("network.outgoing.bytes.rate", "libvirt", RATE),
    known("network.outgoing.packets", "libvirt", Same),
    known("network.outgoing.packets.drop", "libvirt", Same),
    known("network.outgoing.packets.error", "libvirt", Same),
    known("network.services.firewall", "neutron", Same),
    known("network.services.firewall.policy", "neutron", Same),
    known("network.services.vpn", "neutron", Same),
    known(
        "network.services.vpn.connections",
        "neutron",
        Corrected("the pre-shared key is `***`; ceilometer publishes it"),
    ),
    known("network.services.lb.active.connections", "neutron", LEGACY_LB),
    known("network.services.lb.health_monitor", "neutron", LEGACY_LB),
    known("network.services.lb.incoming.bytes", "neutron", LEGACY_LB),
    known("network.services.lb.listener", "neutron", LEGACY_LB),
    known("network.services.lb.loadbalancer", "neutron", LEGACY_LB),
    known("network.services.lb.member", "neutron", LEGACY_LB),
    known("network.services.lb.outgoing.bytes", "neutron", LEGACY_LB),
    known("network.services.lb.pool", "neutron", LEGACY_LB),
    known("network.services.lb.total.connections", "neutron", LEGACY_LB),
    known("network.services.lb.vip", "neutron", LEGACY_LB),
    known("perf.cache.misses", "libvirt", Same),
    known("perf.cache.references", "libvirt", Same),
    known("perf.cpu.cycles", "libvirt", Same),
    known("perf.instructions", "libvirt", Same),
    known("power.state", "libvirt", Same),
    known("radosgw.containers.objects", "radosgw", PER_BUCKET),
    known("radosgw.containers.objects.size", "radosgw", PER_BUCKET),
    known("radosgw.objects", "radosgw", PER_PROJECT),
    known("radosgw.objects.containers", "radosgw", PER_PROJECT),
    known("radosgw.objects.size", "radosgw", PER_PROJECT),
    known("radosgw.usage", "radosgw", PER_PROJECT),
    known("storage.containers.objects", "swift", ALL_CONTAINERS),
    known("storage.containers.objects.size", "swift", ALL_CONTAINERS),
    known("storage.objects", "swift", ONE_GET),
    known("storage.objects.containers", "swift", ONE_GET),
    known("storage.objects.size", "swift", ONE_GET),
    known("vcpus", "libvirt", Same),
    known("volume.backup.size", "cinder", Same),
    known("volume.provider.pool.capacity.allocated", "cinder", Same),
    known("volume.provider.pool.capacity.free", "cinder", NO_TEXT),
    known("volume.provider.pool.capacity.provisioned", "cinder", Same),
    known("volume.provider.pool.capacity.total", "cinder", NO_TEXT),
    known("volume.provider.pool.capacity.virtual_free", "cinder", Same),
    known("volume.service.health", "cinder", Same),
    known("volume.size", "cinder", Same),
    known("volume.snapshot.size", "cinder", Same),
];

/// The namespaces of ceilometer's agents.
const NAMESPACES: [&str; 3] = ["central", "compute", "ipmi"];

/// The page.
pub(crate) fn page(catalog: &Catalog) -> String {
    let mut page = Page::new("Ceilometer's discoveries and meters", ABOUT);
    for (title, head, table, here) in [
        ("Discoveries", "Discovery", DISCOVERIES, discoveries(catalog)),
        ("Meters", "Meter", METERS, meters(catalog)),
    ] {
        page.section(title);
        let mut rows: Vec<_> = table.iter().map(|known| row(known, &here)).collect();
        let others = here
            .iter()
            .filter(|name| !table.iter().any(|known| known.name == **name));
        rows.extend(others.map(|name| {
            [
                code(name),
                "addition".to_owned(),
                "ceilometer has none".to_owned(),
            ]
        }));
        rows.sort();
        page.table([head, "Here", "Why"], rows);
    }
    page.finish()
}

fn row(known: &Known, here: &[&str]) -> [String; 3] {
    let (word, why) = match known.verdict {
        NotHere(why) => ("not here", why.to_owned()),
        _ if !here.contains(&known.name) => (
            "not here",
            format!("this program is built without the plugin {}", code(known.family)),
        ),
        Same => ("same", String::new()),
        Corrected(why) => ("corrected", why.to_owned()),
    };
    [code(known.name), word.to_owned(), why]
}

fn is_of_ceilometer(namespaces: &[Cow<'static, str>]) -> bool {
    namespaces
        .iter()
        .any(|namespace| NAMESPACES.contains(&&**namespace))
}

fn discoveries(catalog: &Catalog) -> Vec<&str> {
    let found = catalog.discoveries().iter();
    let found = found.filter(|discovery| is_of_ceilometer(&discovery.namespaces));
    found.map(|discovery| &*discovery.name).collect()
}

fn meters(catalog: &Catalog) -> Vec<&str> {
    let found = catalog.pollsters().iter();
    let found = found.filter(|pollster| is_of_ceilometer(&pollster.namespaces));
    found
        .flat_map(|pollster| pollster.meters.iter().map(|meter| &*meter.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_catalog() {
        let catalog = Catalog::collect().unwrap();
        for (table, here) in [(DISCOVERIES, discoveries(&catalog)), (METERS, meters(&catalog))] {
            for known in table {
                let is_here = here.contains(&known.name);
                match known.verdict {
                    NotHere(_) => assert!(!is_here, "{} is here", known.name),
                    // A program may be built without a family, but a family has all of its meters.
                    Same | Corrected(_) => assert!(
                        is_here || catalog.family(known.family).is_none(),
                        "{} of {} is not here",
                        known.name,
                        known.family
                    ),
                }
                let twice = table.iter().filter(|other| other.name == known.name).count();
                assert_eq!(twice, 1, "{}", known.name);
            }
            for name in here {
                assert!(
                    table.iter().any(|known| known.name == name),
                    "{name} is not in the table: is it an addition?"
                );
            }
        }
    }
}
