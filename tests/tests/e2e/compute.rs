//! The compute namespace, on a machine without libvirt and on a compute host.

use std::collections::BTreeSet;
use std::fs;

use nephoscope_cloud::{Cloud, Size};
use nephoscope_tests::Lab;
use nephoscope_tests::libvirt::{Daemon, Guest};
use serde_json::json;
use tokio::runtime::Runtime;

/// The default namespaces have no meters here; the meters of this machine show that the agent runs.
const CONFIG: &str = "
agent: {namespaces: [compute, central, host], state_dir: $LAB/state}
notifier: {publishers: [{name: out, url: 'stdout:'}]}
sources:
  - {name: all, interval: 1, meters: ['*']}
";

#[test]
fn without_libvirt_the_agent_logs_one_line_and_measures_the_rest() {
    let lab = Lab::with(CONFIG);
    // The loader finds this file first, and it is not a library.
    let folder = lab.path("libraries");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("libvirt.so.0"), "not a library").unwrap();
    let launch = lab.nephoscope(&["run", "--log-level", "debug"]);
    let mut program = launch.env("LD_LIBRARY_PATH", &folder).start();
    program.sample("this machine", |sample| sample.meter() == "hardware.memory.total");
    program.cycles(2);
    let reasons = program.json("/readyz").to_string();
    assert!(reasons.contains("cannot load libvirt"), "{reasons}");
    let finished = program.stop().expect(0);
    let lines: Vec<_> = finished
        .stderr
        .lines()
        .filter(|line| line.contains("libvirt"))
        .collect();
    assert_eq!(lines.len(), 1, "{finished}");
    assert!(
        lines[0].contains(" INFO ") && lines[0].contains("cannot load libvirt"),
        "{}",
        lines[0]
    );
}

#[test]
fn instances_of_nova_are_measured_with_one_token_for_all_plugins() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    let guests = [Guest::new(1), Guest::new(2)];
    daemon.start_guests(&guests);
    // It answers while this test waits for the program.
    let runtime = Runtime::new().unwrap();
    let cloud = runtime.block_on(Cloud::start(Size::of(2)));
    let server = json!({
        "id": guests[0].uuid(), "name": "web-1", "status": "ACTIVE", "tenant_id": "t1", "user_id": "u1", "hostId": "0f3a",
        "metadata": { "metering.server_group": "g1" }, "image": "", "flavor": { "id": "1", "links": [] },
        "OS-EXT-SRV-ATTR:instance_name": guests[0].name(), "OS-EXT-SRV-ATTR:host": "cmp-a", "OS-EXT-STS:vm_state": "active",
    });
    cloud.answers("/compute/v2.1/servers/detail", json!({ "servers": [server] }));
    let config = format!(
        "
agent: {{namespaces: [compute, central], host: cmp-a}}
plugins:
  libvirt: {{uri: '{}', instance_discovery_method: naive}}
  openstack: {}
sources:
  - {{name: all, interval: 10, meters: [cpu, disk.root.size, image.size]}}
",
        daemon.uri(),
        cloud.options(),
    );
    let lab = Lab::with(&config);
    let finished = lab.nephoscope(&["once", "--format", "json"]).finish().expect(0);
    let samples = finished.samples();
    let of = |meter: &str| -> BTreeSet<&str> {
        let of_meter = samples.iter().filter(|sample| sample.meter() == meter);
        of_meter.map(|sample| sample.resource()).collect()
    };
    // Nova does not list the other domain.
    let uuid = guests[0].uuid();
    assert_eq!(of("cpu"), [uuid.as_str()].into(), "{finished}");
    assert_eq!(of("disk.root.size"), [uuid.as_str()].into());
    assert_eq!(of("image.size").len(), 2);
    let sample = samples.iter().find(|sample| sample.meter() == "cpu").unwrap();
    let metadata = &sample.0["resource_metadata"];
    assert_eq!(
        (&metadata["instance_type"], &metadata["host"]),
        (&json!("m1.size-1"), &json!("0f3a"))
    );
    assert_eq!(metadata["user_metadata"], json!({ "server_group": "g1" }));
    let counted = cloud.counted();
    assert!(
        counted.contains("keystone POST /v3/auth/tokens 201 x 1\n"),
        "{counted}"
    );
    assert!(
        counted.contains("nova GET /v2.1/servers/detail 200 x 1\n"),
        "{counted}"
    );
}

#[test]
fn missing_credentials_are_reported_once_and_only_where_needed() {
    for (method, warnings) in [("naive", 1), ("libvirt_metadata", 0)] {
        let lab = Lab::with(&format!(
            "
agent: {{namespaces: [compute]}}
plugins:
  libvirt: {{uri: 'test:///default', instance_discovery_method: {method}}}
sources:
  - {{name: all, interval: 10, meters: ['*']}}
"
        ));
        let finished = lab.nephoscope(&["once", "--log-level", "warn"]).finish();
        if finished.stderr.contains("cannot load libvirt") {
            eprintln!("NOT RUN: {finished}");
            return;
        }
        let finished = finished.expect(0);
        let about = finished.stderr.matches("WARN no credentials").count();
        assert_eq!(about, warnings, "{method}: {finished}");
    }
}
