//! Tests of load balancers with the example of ceilometer's reference and with a simulated cloud.

use nephoscope_cloud::{Cloud, Size};
use nephoscope_octavia as _;
use nephoscope_plugin::testing::{Conformance, Kit};
use serde_json::json;

#[tokio::test]
async fn the_samples_are_those_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    let statuses = [
        ("ONLINE", "ACTIVE"),
        ("OFFLINE", "PENDING_UPDATE"),
        ("ERROR", "ERROR"),
        ("DEGRADED", "PENDING_DELETE"),
    ];
    let mut balancers = vec![
        json!({ "id": "lb-1", "name": "lb1", "availability_zone": "az1", "vip_address": "10.0.0.9", "vip_port_id": "p9",
            "provisioning_status": "ACTIVE", "operating_status": "ONLINE", "provider": "amphora", "flavor_id": null, "project_id": "t1" }),
        json!({ "id": "lb-2", "operating_status": "SLEEPING", "provisioning_status": null }),
    ];
    for (number, (operating, provisioning)) in statuses.into_iter().enumerate() {
        balancers.push(json!({ "id": format!("lb-{}", number + 3), "operating_status": operating, "provisioning_status": provisioning }));
    }
    cloud.answers(
        "/load-balancer/v2.0/lbaas/loadbalancers",
        json!({ "loadbalancers": balancers, "loadbalancers_links": [] }),
    );
    let kit = Kit::new("octavia").options_of("openstack", cloud.options());
    let outcome = kit
        .pollster("loadbalancer")
        .resources_from("lb_services")
        .poll()
        .await;
    outcome.assert_clean();
    insta::assert_snapshot!(outcome.text());
    insta::assert_snapshot!(
        outcome
            .json_lines()
            .lines()
            .take(2)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[tokio::test]
async fn statuses_have_the_numbers_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    let statuses = [
        ("ONLINE", 1, "ACTIVE", 1),
        ("DRAINING", 2, "DELETED", 2),
        ("OFFLINE", 3, "ERROR", 3),
        ("DEGRADED", 4, "PENDING_CREATE", 4),
        ("ERROR", 5, "PENDING_UPDATE", 5),
        ("NO_MONITOR", 6, "PENDING_DELETE", 6),
        ("UNKNOWN", -1, "UNKNOWN", -1),
    ];
    let balancers: Vec<_> = statuses
        .iter()
        .map(|(operating, number, provisioning, _)| {
            json!({ "id": format!("lb{number}"), "operating_status": operating, "provisioning_status": provisioning })
        })
        .collect();
    cloud.answers(
        "/load-balancer/v2.0/lbaas/loadbalancers",
        json!({ "loadbalancers": balancers }),
    );
    let kit = Kit::new("octavia").options_of("openstack", cloud.options());
    let outcome = kit
        .pollster("loadbalancer")
        .resources_from("lb_services")
        .poll()
        .await;
    let wanted: Vec<String> = statuses
        .iter()
        .flat_map(|(_, operating, _, provisioning)| [operating.to_string(), provisioning.to_string()])
        .collect();
    assert_eq!(outcome.volumes(), wanted);
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("octavia")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
