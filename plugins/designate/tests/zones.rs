//! Tests of zones with the example of ceilometer's reference and with a simulated cloud.

use nephoscope_cloud::{Cloud, Fault, FaultKind, Service, Size};
use nephoscope_designate as _;
use nephoscope_plugin::testing::{Conformance, Kit};
use serde_json::json;

#[tokio::test]
async fn the_samples_are_those_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    cloud.answers(
        "/dns/v2/zones",
        json!({ "zones": [
            { "id": "z-1", "name": "ex1.test.", "email": "a@ex.test", "ttl": 3600, "description": null, "type": "PRIMARY",
              "status": "ACTIVE", "action": "NONE", "serial": 1_700_000_001, "pool_id": "pool-1", "project_id": "t1" },
            { "id": "z-2", "ttl": null, "serial": null, "status": "UNKNOWN" },
        ], "links": { "self": "x" }, "metadata": { "total_count": 2 } }),
    );
    for (zone, count) in [("z-1", 2), ("z-2", 200)] {
        cloud.answers(
            &format!("/dns/v2/zones/{zone}/recordsets"),
            json!({ "recordsets": [{}], "metadata": { "total_count": count } }),
        );
    }
    let kit = Kit::new("designate").options_of("openstack", cloud.options());
    let zones = kit.pollster("dns.zone").resources_from("dns_zones").poll().await;
    zones.assert_clean();
    insta::assert_snapshot!(zones.json_lines());
    let counts = kit
        .pollster("dns.zone.recordsets")
        .resources_from("dns_zones")
        .poll()
        .await;
    counts.assert_clean();
    // The requests are concurrent and complete in any order.
    let mut lines: Vec<_> = counts.json_lines().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn record_sets_take_one_request_per_zone_and_a_failed_zone_fails_alone() {
    let cloud = Cloud::start(Size {
        record_sets: 200,
        ..Size::of(50)
    })
    .await;
    let kit = Kit::new("designate").options_of("openstack", cloud.options());
    cloud.fault(
        Fault::of(Service::Designate, FaultKind::Status(500))
            .at("recordsets")
            .times(1),
    );
    let outcome = kit
        .pollster("dns.zone.recordsets")
        .resources_from("dns_zones")
        .poll()
        .await;
    assert_eq!(
        (outcome.samples.len(), outcome.failures.len()),
        (49, 1),
        "{}",
        outcome.problems()
    );
    assert!(cloud.peak_concurrency(Service::Designate) <= 8);
    insta::assert_snapshot!(cloud.counted(), @r"
    designate GET /v2/zones 200 x 1
    designate GET /v2/zones/{id}/recordsets 200 x 49
    designate GET /v2/zones/{id}/recordsets 500 x 1
    keystone POST /v3/auth/tokens 201 x 1
    ");
}

#[tokio::test]
async fn statuses_have_the_numbers_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    let words = ["ACTIVE", "PENDING", "ERROR", "DELETED", "UNKNOWN"];
    let zones: Vec<_> = words
        .iter()
        .map(|word| json!({ "id": word, "status": word }))
        .collect();
    cloud.answers("/dns/v2/zones", json!({ "zones": zones }));
    let kit = Kit::new("designate").options_of("openstack", cloud.options());
    let outcome = kit
        .pollster("dns.zone")
        .resources_from("dns_zones")
        .wanted(["dns.zone.status"])
        .poll()
        .await;
    assert_eq!(outcome.volumes(), ["1", "2", "3", "4", "-1"]);
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("designate")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
