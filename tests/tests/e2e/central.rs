//! The namespace `central`: the real program against a simulated OpenStack cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nephoscope_cloud::{Cloud, Fault, FaultKind, SECRET_KEY, Service, Size, USER};
use nephoscope_tests::{Finished, Lab, Sample};
use serde_json::{Value, json};

/// A simulated cloud that answers on another thread while the test waits for the program.
pub(crate) struct TestCloud {
    pub(crate) api: Cloud,
    _runtime: tokio::runtime::Runtime,
}

impl TestCloud {
    pub(crate) fn of(resources: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let cloud = runtime.block_on(Cloud::start(Size::of(resources)));
        Self {
            api: cloud,
            _runtime: runtime,
        }
    }

    /// Returns an agent that polls everything of the cloud, with further options of the session.
    fn lab(&self, more: &[(&str, Value)]) -> Lab {
        let mut openstack = self.api.options();
        openstack["services"] = json!({ "radosgw": { "catalog_name": "radosgw" } });
        for (name, value) in more {
            openstack[*name] = value.clone();
        }
        let config = json!({
            "agent": { "host": "node1", "state_dir": "$LAB/state" },
            "plugins": { "openstack": openstack, "radosgw": { "access_key": USER, "secret_key": SECRET_KEY } },
            "sources": [{ "name": "all", "interval": 300, "meters": ["*"] }],
        });
        Lab::with(&config.to_string())
    }
}

fn once(lab: &Lab, code: i32) -> Finished {
    let arguments = ["once", "--namespaces", "central", "--format", "json"];
    lab.nephoscope(&arguments).finish().expect(code)
}

fn meters(finished: &Finished) -> BTreeSet<String> {
    let samples = finished.samples();
    samples.iter().map(|sample| sample.meter().to_owned()).collect()
}

/// The meters of ceilometer's namespace `central` by their published names: those of its reference, and those of LBaaS.
const METERS: &[&str] = &[
    "alarm.evaluation_result",
    "dns.zone.recordsets",
    "dns.zone.serial",
    "dns.zone.status",
    "dns.zone.ttl",
    "image.size",
    "ip.floating",
    "loadbalancer.operating",
    "loadbalancer.provisioning",
    "manila.share.size",
    "manila.share.status",
    "network.services.firewall",
    "network.services.firewall.policy",
    "network.services.lb.active.connections",
    "network.services.lb.health_monitor",
    "network.services.lb.incoming.bytes",
    "network.services.lb.listener",
    "network.services.lb.loadbalancer",
    "network.services.lb.member",
    "network.services.lb.outgoing.bytes",
    "network.services.lb.pool",
    "network.services.lb.total.connections",
    "network.services.lb.vip",
    "network.services.vpn",
    "network.services.vpn.connections",
    "radosgw.api.request",
    "radosgw.containers.objects",
    "radosgw.containers.objects.size",
    "radosgw.objects",
    "radosgw.objects.containers",
    "radosgw.objects.size",
    "storage.containers.objects",
    "storage.containers.objects.size",
    "storage.objects",
    "storage.objects.containers",
    "storage.objects.size",
    "volume.backup.size",
    "volume.provider.pool.capacity.allocated",
    "volume.provider.pool.capacity.free",
    "volume.provider.pool.capacity.provisioned",
    "volume.provider.pool.capacity.total",
    "volume.provider.pool.capacity.virtual_free",
    "volume.service.health",
    "volume.size",
    "volume.snapshot.size",
];

/// The discoveries of ceilometer's namespace `central`, and of LBaaS.
const DISCOVERIES: &[&str] = &[
    "alarm",
    "barbican",
    "dns_zones",
    "endpoint",
    "fip_services",
    "fw_policy",
    "fw_services",
    "images",
    "ipsec_connections",
    "lb_health_probes",
    "lb_listeners",
    "lb_loadbalancers",
    "lb_members",
    "lb_pools",
    "lb_services",
    "lb_vips",
    "manila_shares",
    "tenant",
    "volume_backups",
    "volume_pools",
    "volume_services",
    "volume_snapshots",
    "volumes",
    "vpn_services",
];

#[test]
fn every_meter_of_ceilometers_namespace_central_appears() {
    let cloud = TestCloud::of(5);
    let lab = cloud.lab(&[]);
    let finished = once(&lab, 0);
    let wanted: BTreeSet<String> = METERS.iter().map(|meter| (*meter).to_owned()).collect();
    assert_eq!(meters(&finished), wanted, "{}", finished.stderr);
    assert!(!finished.stdout.contains("canary"), "no secret is printed");

    let plugins = lab
        .nephoscope(&["plugins", "--format", "json"])
        .finish()
        .expect(0);
    let plugins: Vec<Value> = plugins
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for name in DISCOVERIES {
        let known = |plugin: &&Value| plugin["kind"] == "discovery" && plugin["name"] == **name;
        assert!(plugins.iter().any(|plugin| known(&plugin)), "{name} is missing");
    }
}

/// The plugins' tests compare whole samples with golden files; this checks that every meter has one.
#[test]
fn every_meter_of_ceilometers_namespace_central_has_golden_samples() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut golden = BTreeSet::new();
    for plugin in plugins.read_dir().unwrap() {
        let Ok(snapshots) = plugin.unwrap().path().join("tests/snapshots").read_dir() else {
            continue;
        };
        for snapshot in snapshots {
            let text = fs::read_to_string(snapshot.unwrap().path()).unwrap();
            let samples = text.lines().filter(|line| line.starts_with('{'));
            golden.extend(samples.map(|line| {
                let sample: Value = serde_json::from_str(line).unwrap();
                sample["counter_name"].as_str().unwrap().to_owned()
            }));
        }
    }
    let without: Vec<_> = METERS.iter().filter(|meter| !golden.contains(**meter)).collect();
    assert!(without.is_empty(), "no golden sample of {without:?}");
}

#[test]
fn an_unavailable_service_affects_only_its_own_meters_and_gets_few_requests() {
    let cloud = TestCloud::of(30);
    let lab = cloud.lab(&[("breaker_interval", json!("1h"))]);
    cloud
        .api
        .fault(Fault::of(Service::Cinder, FaultKind::Status(503)));
    let finished = once(&lab, 1);
    let lost: Vec<_> = METERS
        .iter()
        .filter(|meter| !meters(&finished).contains(**meter))
        .collect();
    let of_cinder: Vec<_> = METERS
        .iter()
        .filter(|meter| meter.starts_with("volume."))
        .collect();
    assert_eq!(lost, of_cinder, "{}", finished.stderr);
    let requests = cloud.api.requests(Service::Cinder);
    assert_eq!(
        requests, 3,
        "a request and its two retries: then the circuit is open"
    );
}

#[test]
fn a_cloud_without_a_service_and_an_extension_is_polled_for_the_rest() {
    let cloud = TestCloud::of(3);
    cloud.api.in_catalog(Service::Manila, false);
    cloud.api.without("/fwaas/firewall_groups");
    let finished = once(&cloud.lab(&[]), 0);
    let found = meters(&finished);
    let lost: Vec<_> = METERS.iter().filter(|meter| !found.contains(**meter)).collect();
    assert_eq!(
        lost,
        [
            &"manila.share.size",
            &"manila.share.status",
            &"network.services.firewall"
        ]
    );
}

#[test]
fn one_invalid_resource_fails_alone() {
    let cloud = TestCloud::of(10);
    for (service, path) in [
        (Service::Cinder, "/volumes/detail"),
        (Service::Glance, "/images"),
        (Service::Neutron, "/floatingips"),
        (Service::Octavia, "/loadbalancers"),
    ] {
        cloud
            .api
            .fault(Fault::of(service, FaultKind::WrongTypes).at(path));
    }
    let finished = once(&cloud.lab(&[]), 0);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for sample in finished.samples() {
        *counts.entry(sample.meter().to_owned()).or_default() += 1;
    }
    for meter in [
        "volume.size",
        "image.size",
        "ip.floating",
        "loadbalancer.operating",
    ] {
        assert_eq!(
            counts.get(meter),
            Some(&10),
            "{meter}: {counts:?}\n{}",
            finished.stderr
        );
    }
}

#[test]
fn samples_have_the_names_of_projects_and_users_when_configured() {
    let cloud = TestCloud::of(3);
    let names = |finished: &Finished| {
        let samples = finished.samples();
        let is_wanted = |sample: &&Sample| sample.meter() == "volume.size";
        let named = samples.iter().filter(is_wanted);
        let name = |sample: &Sample, key: &str| sample.0[key].as_str().map(str::to_owned);
        let names: Vec<_> = named
            .map(|sample| (name(sample, "project_name"), name(sample, "user_name")))
            .collect();
        names
    };
    assert_eq!(
        names(&once(&cloud.lab(&[]), 0)),
        [(None, None), (None, None), (None, None)]
    );
    let lab = cloud.lab(&[("identity_name_discovery", json!(true))]);
    let found = names(&once(&lab, 0));
    let wanted = |number: usize| {
        let name = |of: &str| Some(format!("{of}-{number}"));
        (name("project"), name("user"))
    };
    assert_eq!(found, [0, 1, 2].map(wanted));

    // Names that cannot be read lose no sample.
    for path in ["/projects/{id}", "/users/{id}"] {
        cloud
            .api
            .fault(Fault::of(Service::Keystone, FaultKind::Status(403)).at(path));
    }
    let finished = once(&lab, 0);
    assert_eq!(names(&finished).len(), 3);
    assert!(
        finished.stderr.is_empty() || !finished.stderr.contains("failed"),
        "{}",
        finished.stderr
    );
}
