//! Tests of the plugin on the machine that runs them.

use std::collections::BTreeSet;

use nephoscope_host as _;
use nephoscope_plugin::testing::{Conformance, Kit, Outcome, conformance};
use nephoscope_plugin::{Catalog, FailureKind};
use serde_json::json;

async fn poll(kit: &Kit, pollster: &str) -> Outcome {
    kit.pollster(pollster).resources_from("host").poll().await
}

/// Returns the meters of the samples.
fn found(outcome: &Outcome) -> BTreeSet<&str> {
    outcome.samples.iter().map(|sample| &*sample.meter.name).collect()
}

#[tokio::test]
async fn the_family_conforms() {
    conformance("host").await;
    let options = json!({ "network_file_systems": true, "disks": ["*"], "interfaces": ["!lo"] });
    Conformance::of("host").options(options).check().await;
}

#[tokio::test]
async fn every_meter_has_a_sample_or_a_reason() {
    let kit = Kit::new("host");
    for pollster in Catalog::collect().unwrap().pollsters() {
        let outcome = poll(&kit, &pollster.name).await;
        let is_reason = |kind| matches!(kind, FailureKind::NotSupported | FailureKind::Transient);
        let has_reason = outcome.failures.iter().any(|failure| is_reason(failure.kind));
        let found = found(&outcome);
        for meter in &pollster.meters {
            assert!(
                found.contains(&*meter.name) || has_reason,
                "{} is missing without a reason: {}",
                meter.name,
                outcome.problems()
            );
        }
    }
}

#[tokio::test]
async fn every_machine_has_cpus_memory_and_a_loopback_interface() {
    let kit = Kit::new("host");
    for (pollster, meter) in [
        ("host.cpu", "hardware.cpu.util"),
        ("host.cpu", "hardware.cpu.load.15min"),
        ("host.memory", "hardware.memory.total"),
        ("host.memory", "hardware.memory.swap.total"),
        ("host.network", "hardware.network.incoming.bytes"),
    ] {
        let outcome = poll(&kit, pollster).await;
        assert!(found(&outcome).contains(meter), "{meter}: {}", outcome.problems());
    }
}

#[tokio::test]
async fn only_wanted_meters_are_sampled() {
    let kit = Kit::new("host");
    let outcome = kit
        .pollster("host.cpu")
        .resources_from("host")
        .wanted(["hardware.uptime"])
        .poll()
        .await;
    outcome.assert_clean();
    assert_eq!(found(&outcome), BTreeSet::from(["hardware.uptime"]));
}

#[tokio::test]
async fn another_machine_is_not_measured() {
    let kit = Kit::new("host");
    let outcome = kit
        .pollster("host.memory")
        .resources(["node1", "node2"])
        .poll()
        .await;
    assert_eq!(outcome.reported, ["node1"]);
    insta::assert_snapshot!(outcome.problems(), @"node2: not_supported: not this host; only `node1` can be measured");
}

#[tokio::test]
async fn samples_have_the_form_of_ceilometer() {
    let kit = Kit::new("host").options(json!({
        "proc": "tests/fixtures/server/proc",
        "sys": "tests/fixtures/server/sys",
        "interfaces": ["eth0"],
    }));
    let outcome = kit
        .pollster("host.network")
        .resources_from("host")
        .wanted([
            "hardware.network.incoming.bytes",
            "hardware.network.ip.incoming.datagrams",
        ])
        .poll()
        .await;
    insta::assert_snapshot!(outcome.json_lines(), @r#"
    {"source":"hardware","counter_name":"hardware.network.incoming.bytes","counter_type":"cumulative","counter_unit":"B","counter_volume":200389843,"user_id":null,"user_name":null,"project_id":null,"project_name":null,"resource_id":"node1.eth0","timestamp":"1970-01-01T00:05:00","resource_metadata":{"name":"eth0","speed":125000000.0,"mac":"fa163e000001","ip":"","resource_url":"node1"},"message_id":"327269f3-40fd-8593-9c32-fc084b92e1a3","monotonic_time":null,"message_signature":""}
    {"source":"hardware","counter_name":"hardware.network.ip.incoming.datagrams","counter_type":"cumulative","counter_unit":"datagrams","counter_volume":11086,"user_id":null,"user_name":null,"project_id":null,"project_name":null,"resource_id":"node1","timestamp":"1970-01-01T00:05:00","resource_metadata":{"resource_url":"node1"},"message_id":"bc048b51-5975-8d6f-846a-f7c7bfa66779","monotonic_time":null,"message_signature":""}
    "#);
}

#[tokio::test]
async fn without_the_kernel_s_files_the_machine_fails_with_the_reason() {
    let kit = Kit::new("host").options(json!({ "proc": "tests/fixtures/nowhere" }));
    let mut problems = String::new();
    for pollster in Catalog::collect().unwrap().pollsters() {
        let outcome = poll(&kit, &pollster.name).await;
        assert!(outcome.samples.is_empty() && outcome.reported.is_empty());
        problems += &outcome.problems();
    }
    insta::assert_snapshot!(problems, @r"
    node1: not_supported: tests/fixtures/nowhere/loadavg does not exist
    node1.cpu: not_supported: tests/fixtures/nowhere/stat does not exist
    node1.uptime: not_supported: tests/fixtures/nowhere/uptime does not exist
    node1: not_supported: tests/fixtures/nowhere/diskstats does not exist
    node1.io: not_supported: tests/fixtures/nowhere/vmstat does not exist
    node1: not_supported: tests/fixtures/nowhere/1/mountinfo does not exist
    node1: not_supported: tests/fixtures/nowhere/meminfo does not exist
    node1: not_supported: tests/fixtures/nowhere/1/net/dev does not exist
    node1.ip: not_supported: tests/fixtures/nowhere/1/net/snmp does not exist
    ");
}

#[tokio::test]
async fn the_discovery_lists_this_host_and_accepts_no_parameter() {
    let kit = Kit::new("host").host("compute-7");
    let keys: Vec<_> = kit.discovery("host").list().await.unwrap();
    assert_eq!(
        keys.iter().map(|host| &**host.key()).collect::<Vec<_>>(),
        ["compute-7"]
    );
    let failure = kit.discovery("host://other").list().await.unwrap_err();
    assert_eq!(failure.to_string(), "the discovery `host` accepts no parameter");
}

#[tokio::test]
async fn an_invalid_pattern_is_rejected_by_name() {
    let options = json!({ "interfaces": ["eth*", "*0"] });
    let kit = Kit::new("host").options(options);
    let poll = tokio::spawn(async move { poll(&kit, "host.network").await });
    let panic = poll.await.unwrap_err().into_panic();
    insta::assert_snapshot!(panic.downcast_ref::<String>().unwrap(), @"the pollster `host.network` could not be built: option `interfaces`: `*0`: `*` is only allowed at the end");
}
