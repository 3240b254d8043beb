//! Tests of network services with the examples of ceilometer's reference and with a simulated cloud.

use nephoscope_cloud::{Cloud, Fault, FaultKind, Service, Size};
use nephoscope_neutron as _;
use nephoscope_plugin::FailureKind;
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
async fn load_balancers_of_neutron_are_those_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    let answers = [
        (
            "lbaas/loadbalancers",
            json!({ "loadbalancers": [
            { "id": "lb-1", "name": "b", "description": "", "tenant_id": "t1", "admin_state_up": true, "vip_address": "10.0.0.9",
              "vip_subnet_id": "s", "listeners": [{ "id": "ls-1" }], "operating_status": "ONLINE" },
            { "id": "lb-2", "tenant_id": "t1", "operating_status": "UNHEARD_OF" },
        ] }),
        ),
        (
            "lbaas/pools",
            json!({ "pools": [{ "id": "pl-1", "name": "p", "description": "", "tenant_id": "t1", "admin_state_up": true,
            "lb_algorithm": "ROUND_ROBIN", "protocol": "HTTP", "listeners": [{ "id": "ls-1" }] }] }),
        ),
        (
            "lbaas/pools/pl-1/members",
            json!({ "members": [{ "id": "mb-1", "tenant_id": "t1", "admin_state_up": true,
            "address": "10.0.0.10", "protocol_port": 8080, "weight": 1 }] }),
        ),
        (
            "lbaas/listeners",
            json!({ "listeners": [{ "id": "ls-1", "name": "l", "description": "", "tenant_id": "t1",
            "admin_state_up": true, "connection_limit": -1, "default_pool_id": "pl-1", "protocol": "HTTP", "protocol_port": 80,
            "loadbalancers": [{ "id": "lb-1" }] }] }),
        ),
        (
            "lbaas/healthmonitors",
            json!({ "healthmonitors": [{ "id": "hm-1", "tenant_id": "t1", "admin_state_up": true, "delay": 5,
            "max_retries": 3, "timeout": 3, "type": "HTTP", "pools": [{ "id": "pl-1" }] }] }),
        ),
        (
            "lbaas/loadbalancers/lb-1/statuses",
            json!({ "statuses": { "loadbalancer": { "id": "lb-1", "operating_status": "ONLINE",
            "listeners": [{ "id": "ls-1", "operating_status": "ONLINE", "pools": [{ "id": "pl-1", "operating_status": "DEGRADED",
                "members": [{ "id": "mb-1", "operating_status": "OFFLINE" }] }] }] } } }),
        ),
        (
            "lbaas/loadbalancers/lb-1/stats",
            json!({ "stats": { "active_connections": 1, "total_connections": 20, "bytes_in": 300,
            "bytes_out": 400 } }),
        ),
        (
            "lb/vips",
            json!({ "vips": [
            { "id": "vip-1", "status": "ACTIVE", "name": "v", "description": "", "tenant_id": "t1", "address": "10.0.0.2",
              "admin_state_up": true, "connection_limit": -1, "pool_id": "pl-1", "port_id": "p", "protocol": "HTTP", "protocol_port": 80,
              "status_description": null, "subnet_id": "s", "session_persistence": null },
            { "id": "vip-2", "status": "PENDING_CREATE", "tenant_id": "t1" },
        ] }),
        ),
    ];
    for (path, answer) in answers {
        cloud.answers(&format!("/networking/v2.0/{path}"), answer);
    }
    let kit = Kit::new("neutron").options_of("openstack", cloud.options());
    let mut lines = String::new();
    for (pollster, discovery) in [
        ("network.services.lb.pool", "lb_pools"),
        ("network.services.lb.vip", "lb_vips"),
        ("network.services.lb.member", "lb_members"),
        ("network.services.lb.listener", "lb_listeners"),
        ("network.services.lb.loadbalancer", "lb_loadbalancers"),
        ("network.services.lb.health_monitor", "lb_health_probes"),
        ("network.services.lb.traffic", "lb_loadbalancers"),
    ] {
        let outcome = kit.pollster(pollster).resources_from(discovery).poll().await;
        lines.push_str(&outcome.json_lines());
        lines.push_str(&outcome.problems());
    }
    insta::assert_snapshot!(lines);
}

#[tokio::test]
async fn statuses_of_neutron_s_load_balancers_take_one_request_per_balancer() {
    let cloud = Cloud::start(Size::of(30)).await;
    let kit = Kit::new("neutron").options_of("openstack", cloud.options());
    assert_eq!(kit.discovery("lb_pools").list().await.unwrap().len(), 30);
    insta::assert_snapshot!(cloud.counted(), @r"
    keystone POST /v3/auth/tokens 201 x 1
    neutron GET /v2.0/lbaas/loadbalancers 200 x 1
    neutron GET /v2.0/lbaas/loadbalancers/{id}/statuses 200 x 30
    neutron GET /v2.0/lbaas/pools 200 x 1
    ");
}

#[tokio::test]
async fn without_lbaas_its_discoveries_are_not_supported_and_requests_are_rare() {
    let cloud = Cloud::start(Size::of(3)).await;
    cloud.without("/lbaas/loadbalancers");
    cloud.without("/lb/vips");
    let kit = Kit::new("neutron").options_of("openstack", cloud.options());
    for _ in 0..3 {
        for discovery in [
            "lb_pools",
            "lb_members",
            "lb_listeners",
            "lb_loadbalancers",
            "lb_vips",
        ] {
            let failure = kit.discovery(discovery).list().await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::NotSupported, "{discovery}");
        }
    }
    insta::assert_snapshot!(cloud.counted(), @r"
    keystone POST /v3/auth/tokens 201 x 1
    neutron GET /v2.0/lb/vips 404 x 1
    neutron GET /v2.0/lbaas/loadbalancers 404 x 1
    ");
}

#[tokio::test]
async fn if_statuses_of_a_balancer_fail_only_its_parts_fail() {
    let cloud = Cloud::start(Size::of(3)).await;
    cloud.fault(
        Fault::of(Service::Neutron, FaultKind::Status(500))
            .at("/statuses")
            .times(1),
    );
    let kit = Kit::new("neutron").options_of("openstack", cloud.options());
    let outcome = kit
        .pollster("network.services.lb.member")
        .resources_from("lb_members")
        .poll()
        .await;
    assert_eq!((outcome.samples.len(), outcome.failures.len()), (2, 1));
}

#[tokio::test]
async fn many_floating_ips_take_one_request() {
    let cloud = Cloud::start(Size::of(2_000)).await;
    let kit = Kit::new("neutron").options_of("openstack", cloud.options());
    assert_eq!(kit.discovery("fip_services").list().await.unwrap().len(), 2_000);
    insta::assert_snapshot!(cloud.counted(), @r"
    keystone POST /v3/auth/tokens 201 x 1
    neutron GET /v2.0/floatingips 200 x 1
    ");
}

#[tokio::test]
async fn statuses_have_the_numbers_of_ceilometer() {
    let words = [
        ("INACTIVE", 0),
        ("ACTIVE", 1),
        ("PENDING_CREATE", 2),
        ("DOWN", 3),
        ("CREATED", 4),
        ("PENDING_UPDATE", 5),
        ("PENDING_DELETE", 6),
        ("ERROR", 7),
        ("error", 7),
        ("UNKNOWN", -1),
        ("", -1),
    ];
    for (pollster, discovery, path, list) in [
        ("ip.floating", "fip_services", "floatingips", "floatingips"),
        (
            "network.services.vpn",
            "vpn_services",
            "vpn/vpnservices",
            "vpnservices",
        ),
        (
            "network.services.firewall",
            "fw_services",
            "fwaas/firewall_groups",
            "firewall_groups",
        ),
    ] {
        let mut entries: Vec<Value> = words
            .iter()
            .enumerate()
            .map(|(number, (word, _))| json!({ "id": format!("id-{number}"), "status": word }))
            .collect();
        entries.push(json!({ "id": "null", "status": null }));
        entries.push(json!({ "id": "none" }));
        let outcome = polled(pollster, discovery, path, json!({ list: entries })).await;
        let known = words.iter().map(|(_, number)| number.to_string());
        let wanted: Vec<String> = known.chain(["-1".to_owned(), "-1".to_owned()]).collect();
        assert_eq!(outcome.volumes(), wanted, "{pollster}");
    }
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("neutron")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
