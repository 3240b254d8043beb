//! Neutron: floating IPs, VPN, firewalls, and the load balancers before Octavia.

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::{Caller, Shared};
use crate::page::{self, Rules};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::world::{Kind, World, id, one_of};

/// `pagination_max_limit` is -1: all entries, unless the request has a limit.
const RULES: Rules = Rules {
    service: Service::Neutron,
    default: None,
    max: None,
    bad_marker: 404,
};

/// A collection: its path below `/v2.0`, its name in the response, its kind, and the function that creates an entry.
type Collection = (&'static str, &'static str, Kind, fn(&World, usize) -> Value);

const COLLECTIONS: [Collection; 10] = [
    ("floatingips", "floatingips", Kind::FloatingIp, floating_ip),
    ("vpn/vpnservices", "vpnservices", Kind::Vpn, vpn),
    (
        "vpn/ipsec-site-connections",
        "ipsec_site_connections",
        Kind::Ipsec,
        ipsec,
    ),
    (
        "fwaas/firewall_groups",
        "firewall_groups",
        Kind::FirewallGroup,
        firewall,
    ),
    (
        "fwaas/firewall_policies",
        "firewall_policies",
        Kind::FirewallPolicy,
        policy,
    ),
    ("lb/vips", "vips", Kind::LbVip, lb_vip),
    ("lbaas/pools", "pools", Kind::LbPool, lb_pool),
    ("lbaas/listeners", "listeners", Kind::LbListener, lb_listener),
    (
        "lbaas/loadbalancers",
        "loadbalancers",
        Kind::LbBalancer,
        lb_balancer,
    ),
    (
        "lbaas/healthmonitors",
        "healthmonitors",
        Kind::LbMonitor,
        lb_monitor,
    ),
];

pub(crate) fn routes() -> Router<Shared> {
    let mut router = Router::new()
        .route("/networking", get(versions))
        .route("/networking/", get(versions))
        .route("/networking/v2.0/lbaas/listeners/{id}", get(one_listener))
        .route(
            "/networking/v2.0/lbaas/loadbalancers/{id}/statuses",
            get(statuses),
        )
        .route("/networking/v2.0/lbaas/loadbalancers/{id}/stats", get(stats))
        .route("/networking/v2.0/lbaas/pools/{id}/members", get(members));
    for (path, name, kind, make) in COLLECTIONS {
        let list = move |shared, caller, query| list(shared, caller, query, (path, name, kind, make));
        router = router.route(&format!("/networking/v2.0/{path}"), get(list));
    }
    router
}

async fn versions(State(shared): State<Shared>) -> Json<Value> {
    let href = format!("{}/networking/v2.0/", shared.world().base);
    let links = json!([{ "rel": "self", "href": href }]);
    Json(json!({ "versions": [{ "id": "v2.0", "status": "CURRENT", "links": links }] }))
}

async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Query(query): Query<page::Query>,
    (path, name, kind, make): Collection,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    let page = RULES.page(
        &query,
        world.range(kind),
        |marker| world.find(kind, marker),
        |number| id(kind, number),
        |number| caller.admin.then(|| make(&world, number)),
    )?;
    let mut body = json!({ name: page.entries });
    if query.contains_key("limit") {
        let href = |query: &str| format!("{}/networking/v2.0/{path}?{query}", world.base);
        let links: Vec<_> = page
            .next
            .iter()
            .map(|next| json!({ "rel": "next", "href": href(next) }))
            .collect();
        body[format!("{name}_links")] = json!(links);
    }
    Ok(Json(body))
}

fn status(number: usize) -> &'static str {
    one_of(&["ACTIVE", "ACTIVE", "DOWN", "ERROR", "PENDING_CREATE"], number)
}

fn owned(world: &World, number: usize, mut entry: Value) -> Value {
    entry["tenant_id"] = json!(world.owner(number));
    entry["project_id"] = json!(world.owner(number));
    entry
}

fn floating_ip(world: &World, number: usize) -> Value {
    let (high, low) = (number / 250 % 250, number % 250);
    let entry = json!({
        "id": id(Kind::FloatingIp, number), "router_id": "r1", "status": one_of(&["ACTIVE", "DOWN"], number),
        "floating_network_id": "ext", "fixed_ip_address": format!("10.0.{high}.{low}"), "port_id": "p1",
        "floating_ip_address": format!("198.18.{high}.{low}"), "description": "", "dns_name": "", "dns_domain": "",
        "port_details": null, "qos_policy_id": null, "revision_number": 1, "tags": [],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "port_forwardings": [],
    });
    owned(world, number, entry)
}

fn vpn(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::Vpn, number), "name": format!("vpn-{number}"), "description": "d", "status": status(number),
        "admin_state_up": true, "subnet_id": "s", "router_id": "r", "flavor_id": null, "external_v4_ip": "203.0.113.9",
        "external_v6_ip": null,
    });
    owned(world, number, entry)
}

fn ipsec(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::Ipsec, number), "name": format!("ipsec-{number}"), "description": "", "peer_address": "198.51.100.1",
        "peer_id": "198.51.100.1", "peer_cidrs": [], "peer_ep_group_id": "g", "local_ep_group_id": "l", "psk": "canary-psk",
        "initiator": "bi-directional", "ikepolicy_id": "ike", "ipsecpolicy_id": "isp", "vpnservice_id": id(Kind::Vpn, number),
        "mtu": 1500, "admin_state_up": true, "status": status(number), "auth_mode": "psk", "route_mode": "static",
        "dpd": { "action": "hold", "interval": 30, "timeout": 120 }, "local_id": "",
    });
    owned(world, number, entry)
}

fn firewall(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::FirewallGroup, number), "name": format!("firewall-{number}"), "description": "", "status": status(number),
        "admin_state_up": true, "ingress_firewall_policy_id": "ip", "egress_firewall_policy_id": null, "ports": [], "shared": false,
    });
    owned(world, number, entry)
}

fn policy(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::FirewallPolicy, number), "name": format!("policy-{number}"), "description": "", "audited": true,
        "shared": false, "firewall_rules": ["r1"],
    });
    owned(world, number, entry)
}

fn lb_vip(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::LbVip, number), "name": format!("vip-{number}"), "description": "", "admin_state_up": true,
        "address": "10.0.0.2", "connection_limit": -1, "pool_id": id(Kind::LbPool, number), "port_id": "p", "protocol": "HTTP",
        "protocol_port": 80, "status": status(number), "status_description": null, "subnet_id": "s", "session_persistence": null,
    });
    owned(world, number, entry)
}

fn lb_pool(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::LbPool, number), "name": format!("pool-{number}"), "description": "", "admin_state_up": true,
        "lb_algorithm": "ROUND_ROBIN", "protocol": "HTTP", "listeners": [{ "id": id(Kind::LbListener, number) }],
        "loadbalancers": [{ "id": id(Kind::LbBalancer, number) }], "members": [{ "id": id(Kind::LbMember, number) }],
        "healthmonitor_id": id(Kind::LbMonitor, number), "session_persistence": null,
    });
    owned(world, number, entry)
}

fn lb_listener(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::LbListener, number), "name": format!("listener-{number}"), "description": "", "admin_state_up": true,
        "connection_limit": -1, "default_pool_id": id(Kind::LbPool, number), "protocol": "HTTP", "protocol_port": 80,
        "loadbalancers": [{ "id": id(Kind::LbBalancer, number) }], "default_tls_container_ref": null, "sni_container_refs": [],
    });
    owned(world, number, entry)
}

fn lb_balancer(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::LbBalancer, number), "name": format!("balancer-{number}"), "description": "", "admin_state_up": true,
        "vip_address": "10.0.0.9", "vip_subnet_id": "s", "vip_port_id": "p", "listeners": [{ "id": id(Kind::LbListener, number) }],
        "operating_status": operating(number), "provisioning_status": "ACTIVE", "provider": "haproxy", "pools": [],
    });
    owned(world, number, entry)
}

fn lb_monitor(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::LbMonitor, number), "admin_state_up": true, "delay": 5, "max_retries": 3, "timeout": 3, "type": "HTTP",
        "pools": [{ "id": id(Kind::LbPool, number) }], "name": "",
    });
    owned(world, number, entry)
}

fn lb_member(world: &World, number: usize) -> Value {
    let entry = json!({
        "id": id(Kind::LbMember, number), "name": "", "address": "10.0.0.10", "protocol_port": 8080, "weight": 1,
        "admin_state_up": true, "subnet_id": "s",
    });
    owned(world, number, entry)
}

fn operating(number: usize) -> &'static str {
    one_of(&["ONLINE", "OFFLINE", "DEGRADED", "NO_MONITOR"], number)
}

fn found(world: &World, kind: Kind, id: &str) -> Result<usize, Refusal> {
    let missing = || Refusal::new(Service::Neutron, 404, format!("{id} could not be found."));
    world.find(kind, id).ok_or_else(missing)
}

async fn one_listener(
    State(shared): State<Shared>,
    _: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    let number = found(&world, Kind::LbListener, &id)?;
    Ok(Json(json!({ "listener": lb_listener(&world, number) })))
}

async fn statuses(
    State(shared): State<Shared>,
    _: Caller,
    Path(balancer): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let number = found(&shared.world(), Kind::LbBalancer, &balancer)?;
    let entry = |kind, inner: Value| {
        let mut entry = json!({ "id": id(kind, number), "name": "", "operating_status": operating(number),
            "provisioning_status": "ACTIVE" });
        for (name, value) in inner.as_object().cloned().unwrap_or_default() {
            entry[name] = value;
        }
        entry
    };
    let member = entry(
        Kind::LbMember,
        json!({ "address": "10.0.0.10", "protocol_port": 8080 }),
    );
    let pool = entry(Kind::LbPool, json!({ "members": [member] }));
    let listener = entry(Kind::LbListener, json!({ "pools": [pool] }));
    let balancer = entry(Kind::LbBalancer, json!({ "listeners": [listener] }));
    Ok(Json(json!({ "statuses": { "loadbalancer": balancer } })))
}

async fn stats(
    State(shared): State<Shared>,
    _: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let number = found(&shared.world(), Kind::LbBalancer, &id)?;
    let stats = json!({ "active_connections": number, "total_connections": 20 + number, "bytes_in": 300, "bytes_out": 400 });
    Ok(Json(json!({ "stats": stats })))
}

async fn members(
    State(shared): State<Shared>,
    _: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    let number = found(&world, Kind::LbPool, &id)?;
    Ok(Json(json!({ "members": [lb_member(&world, number)] })))
}
