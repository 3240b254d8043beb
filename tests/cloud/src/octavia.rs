//! Octavia: load balancers.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::{Caller, Shared};
use crate::page::{self, Rules};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::world::{Kind, World, id, one_of};

/// `pagination_max_limit`: 1000 here.
const RULES: Rules = Rules {
    service: Service::Octavia,
    default: None,
    max: Some(1000),
    bad_marker: 400,
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/load-balancer", get(versions))
        .route("/load-balancer/", get(versions))
        .route("/load-balancer/v2.0/lbaas/loadbalancers", get(balancers))
        .route("/load-balancer/v2/lbaas/loadbalancers", get(balancers))
}

async fn versions(State(shared): State<Shared>) -> Json<Value> {
    let base = shared.world().base;
    let entry = |id: &str, status: &str| {
        let links = json!([{ "rel": "self", "href": format!("{base}/load-balancer/v2") }]);
        json!({ "id": id, "status": status, "updated": "2026-01-01T00:00:00Z", "links": links })
    };
    Json(json!({ "versions": [entry("v2.0", "SUPPORTED"), entry("v2.27", "CURRENT")] }))
}

fn balancer(world: &World, number: usize) -> Value {
    json!({
        "id": id(Kind::LoadBalancer, number), "name": format!("lb-{number}"), "availability_zone": "az1",
        "vip_address": "10.0.0.9", "vip_port_id": "p9", "vip_subnet_id": "s", "vip_network_id": "n",
        "provisioning_status": one_of(&["ACTIVE", "PENDING_UPDATE", "ERROR"], number),
        "operating_status": one_of(&["ONLINE", "OFFLINE", "DEGRADED", "ERROR"], number), "provider": "amphora",
        "flavor_id": null, "project_id": world.owner(number), "tenant_id": world.owner(number), "admin_state_up": true,
        "description": "", "listeners": [], "pools": [], "tags": [], "additional_vips": [], "vip_qos_policy_id": null,
        "created_at": "2026-01-01T00:00:00", "updated_at": "2026-01-01T00:00:00",
    })
}

async fn balancers(
    State(shared): State<Shared>,
    caller: Caller,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    let page = RULES.page(
        &query,
        world.range(Kind::LoadBalancer),
        |marker| world.find(Kind::LoadBalancer, marker),
        |number| id(Kind::LoadBalancer, number),
        |number| caller.admin.then(|| balancer(&world, number)),
    )?;
    let links: Vec<_> = page
        .next
        .iter()
        .map(|next| {
            let href = format!("{}/load-balancer/v2.0/lbaas/loadbalancers?{next}", world.base);
            json!({ "rel": "next", "href": href })
        })
        .collect();
    Ok(Json(
        json!({ "loadbalancers": page.entries, "loadbalancers_links": links }),
    ))
}
