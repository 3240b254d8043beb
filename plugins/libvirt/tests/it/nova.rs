//! Comparison of samples of instances from Nova with the output of `virsh`.

use std::collections::BTreeSet;

use nephoscope_cloud::{Cloud, Size};
use nephoscope_plugin::testing::{Conformance, Kit, Outcome};
use nephoscope_tests::libvirt::{Daemon, Guest};
use serde_json::{Value, json};

use crate::compare::{Comparison, Virsh, recorded};
use crate::setup::daemon;
use crate::values::UNITLESS;

/// The number of running domains.
const GUESTS: u32 = 4;

/// A server without a domain on this host.
const ABSENT: u32 = 99;

fn server(number: u32, state: &str) -> Value {
    let guest = Guest::new(number);
    json!({
        "id": guest.uuid(), "name": format!("server-{number}"), "status": "ACTIVE", "tenant_id": "t1", "user_id": "u1",
        "hostId": "0f3a", "metadata": { "metering.server_group": "g1" }, "image": "", "flavor": { "id": "1", "links": [] },
        "OS-EXT-SRV-ATTR:instance_name": guest.name(), "OS-EXT-SRV-ATTR:host": "cmp-a", "OS-EXT-STS:vm_state": state,
        "OS-EXT-STS:task_state": null,
    })
}

fn set_servers(cloud: &Cloud, servers: &[Value]) {
    cloud.answers("/compute/v2.1/servers/detail", json!({ "servers": servers }));
}

fn uri(daemon: Option<&Daemon>) -> String {
    match daemon {
        Some(daemon) => daemon.uri(),
        None => format!("recorded://{}", recorded().display()),
    }
}

async fn poll(kit: &Kit, cycle: i64) -> Outcome {
    let setup = kit.pollster("compute").resources_from("local_instances");
    setup.cycle(cycle).poll().await
}

/// Returns the numbers of the guests with samples of this meter.
fn measured(outcome: &Outcome, meter: &str) -> BTreeSet<u32> {
    let of = |number: &u32| {
        let uuid = Guest::new(*number).uuid();
        let mut samples = outcome.samples.iter();
        samples.any(|sample| sample.meter.name == meter && *sample.subject.resource_id == *uuid)
    };
    (1..=ABSENT).filter(of).collect()
}

#[tokio::test]
async fn the_domains_of_nova_s_servers_are_measured() {
    let daemon = daemon();
    if let Some(daemon) = &daemon {
        daemon.start_guests(&Guest::some(GUESTS));
    }
    let virsh = daemon
        .as_ref()
        .map_or_else(|| Virsh::Recorded(recorded()), Virsh::Of);
    let cloud = Cloud::start(Size::of(1)).await;
    // Nova does not know the last guest.
    let mut servers: Vec<_> = (1..GUESTS).map(|number| server(number, "active")).collect();
    servers.push(server(ABSENT, "building"));
    set_servers(&cloud, &servers);
    let options = json!({ "uri": uri(daemon.as_ref()), "instance_discovery_method": "naive" });
    let kit = Kit::new("libvirt").host("cmp-a").options(options);
    let kit = kit.options_of("openstack", cloud.options());

    poll(&kit, 1).await.assert_clean();
    let stats = |number: u32| virsh.stats(&Guest::new(number).name());
    let before: Vec<_> = (1..GUESTS).map(stats).collect();
    let outcome = poll(&kit, 2).await;
    outcome.assert_clean();
    for (number, before) in (1..GUESTS).zip(before) {
        let guest = Guest::new(number);
        let of = |resource: &str| resource.contains(&guest.uuid());
        let samples = outcome.samples.iter();
        let comparison = Comparison {
            name: &guest.name(),
            uuid: &guest.uuid(),
            samples: samples.filter(|sample| of(&sample.subject.resource_id)).collect(),
            before,
            after: stats(number),
        };
        assert!(comparison.assert(&virsh) > 10);
    }
    assert_eq!(measured(&outcome, "cpu"), (1..GUESTS).collect());
    assert_eq!(
        measured(&outcome, "disk.root.size"),
        (1..GUESTS).chain([ABSENT]).collect()
    );
    let line = outcome.json_lines();
    let line = line.lines().find(|line| line.contains("server-1")).unwrap();
    assert!(
        line.contains(r#""user_metadata":{"server_group":"g1"}"#),
        "{line}"
    );

    // One server is deleted, and another is created.
    set_servers(&cloud, &[server(1, "deleted"), server(GUESTS, "active")]);
    let outcome = poll(&kit, 3).await;
    assert_eq!(measured(&outcome, "cpu"), (2..=GUESTS).collect());
}

#[tokio::test]
async fn the_family_conforms_with_nova() {
    let cloud = Cloud::start(Size::of(1)).await;
    let servers: Vec<_> = (1..GUESTS).map(|number| server(number, "active")).collect();
    // Of any host: the conformance check chooses the host's name.
    let servers = servers.into_iter().map(|mut server| {
        server["OS-EXT-SRV-ATTR:host"] = Value::Null;
        server
    });
    set_servers(&cloud, &servers.collect::<Vec<_>>());
    Conformance::of("libvirt")
        .options(json!({ "uri": uri(None), "instance_discovery_method": "workload_partitioning" }))
        .options_of("openstack", cloud.options())
        .unitless(UNITLESS)
        .check()
        .await;
}
