//! Network services, as the examples of ceilometer's reference have them and as a whole cloud does.

use nephoscope_cloud::{Cloud, Size};
use nephoscope_neutron as _;
use nephoscope_plugin::testing::{Conformance, Kit, Outcome};
use serde_json::{Value, json};

async fn polled(pollster: &str, discovery: &str, path: &str, answer: Value) -> Outcome {
    let cloud = Cloud::start(Size::of(0)).await;
    cloud.answers(&format!("/networking/v2.0/{path}"), answer);
    let kit = Kit::new("neutron").options_of("openstack", cloud.options());
    let outcome = kit.pollster(pollster).resources_from(discovery).poll().await;
    outcome.assert_clean();
    outcome
}

#[tokio::test]
async fn floating_ips_are_those_of_ceilometer() {
    let address = |id: &str, status: Value| {
        json!({ "id": id, "router_id": "r1", "status": status, "floating_network_id": "ext", "fixed_ip_address": "10.0.0.2",
            "port_id": "p1", "floating_ip_address": "203.0.113.2", "tenant_id": "t1", "project_id": "t1" })
    };
    let all = json!({ "floatingips": [
        address("fip-1", json!("ACTIVE")),
        address("fip-2", json!("DOWN")),
        address("fip-3", json!("error")),
        address("fip-4", json!("UNKNOWN")),
        address("fip-5", Value::Null),
    ] });
    let outcome = polled("ip.floating", "fip_services", "floatingips", all).await;
    insta::assert_snapshot!(outcome.json_lines());
}

#[tokio::test]
async fn vpn_services_are_those_of_ceilometer() {
    let service = |id: &str, status: &str| {
        json!({ "id": id, "name": "n", "description": "d", "status": status, "admin_state_up": true, "subnet_id": "s",
            "router_id": "r", "flavor_id": null, "external_v4_ip": "203.0.113.9", "external_v6_ip": null, "project_id": "t1" })
    };
    let all = json!({ "vpnservices": [
        service("vpn-1", "ACTIVE"), service("vpn-2", "INACTIVE"), service("vpn-3", "PENDING_CREATE"), service("vpn-4", "error"),
    ] });
    let outcome = polled("network.services.vpn", "vpn_services", "vpn/vpnservices", all).await;
    insta::assert_snapshot!(outcome.json_lines());
}

#[tokio::test]
async fn ipsec_connections_are_those_of_ceilometer_without_their_keys() {
    let all = json!({ "ipsec_site_connections": [
        { "id": "ips-1", "name": "c", "description": "", "peer_address": "198.51.100.1", "peer_id": "198.51.100.1", "peer_cidrs": [],
          "peer_ep_group_id": "g", "psk": "canary", "initiator": "bi-directional", "ikepolicy_id": "ike", "ipsecpolicy_id": "isp",
          "vpnservice_id": "vpn-1", "mtu": 1500, "admin_state_up": true, "status": "ACTIVE", "project_id": "t1" },
    ] });
    let path = "vpn/ipsec-site-connections";
    let outcome = polled("network.services.vpn.connections", "ipsec_connections", path, all).await;
    assert!(!outcome.json_lines().contains("canary"));
    insta::assert_snapshot!(outcome.json_lines());
}

#[tokio::test]
async fn firewalls_are_those_of_ceilometer() {
    let all = json!({ "firewall_groups": [
        { "id": "fg-1", "name": "f", "description": "", "status": "ACTIVE", "admin_state_up": true, "ingress_firewall_policy_id": "ip",
          "egress_firewall_policy_id": null, "project_id": "t1" },
        { "id": "fg-2", "status": "ERROR", "tenant_id": "t2" },
    ] });
    let outcome = polled(
        "network.services.firewall",
        "fw_services",
        "fwaas/firewall_groups",
        all,
    )
    .await;
    insta::assert_snapshot!(outcome.json_lines());
    let all = json!({ "firewall_policies": [
        { "id": "fp-1", "name": "f", "description": "", "audited": true, "shared": false, "firewall_rules": ["r1"], "project_id": "t1" },
    ] });
    let outcome = polled(
        "network.services.firewall.policy",
        "fw_policy",
        "fwaas/firewall_policies",
        all,
    )
    .await;
    insta::assert_snapshot!(outcome.json_lines());
}

#[tokio::test]
async fn many_floating_ips_are_one_request() {
    let cloud = Cloud::start(Size::of(2_000)).await;
    let kit = Kit::new("neutron").options_of("openstack", cloud.options());
    assert_eq!(kit.discovery("fip_services").list().await.unwrap().len(), 2_000);
    insta::assert_snapshot!(cloud.counted(), @r"
    keystone POST /v3/auth/tokens 201 x 1
    neutron GET /v2.0/floatingips 200 x 1
    ");
}

#[tokio::test]
async fn the_family_keeps_the_promises_of_plugins() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("neutron")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
