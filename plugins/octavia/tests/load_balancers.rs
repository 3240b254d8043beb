//! Load balancers, as the example of ceilometer's reference has them and as a whole cloud does.

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
async fn the_family_keeps_the_promises_of_plugins() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("octavia")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
