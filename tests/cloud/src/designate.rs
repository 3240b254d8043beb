//! Designate: zones and their record sets.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::{Caller, Shared};
use crate::page::{self, Page, Rules};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::world::{Kind, World, id, one_of};

/// `default_limit_v2` and `max_limit_v2`.
const RULES: Rules = Rules {
    service: Service::Designate,
    default: Some(20),
    max: Some(1000),
    bad_marker: 400,
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/dns", get(versions))
        .route("/dns/", get(versions))
        .route("/dns/v2/zones", get(zones))
        .route("/dns/v2/zones/{id}/recordsets", get(record_sets))
}

async fn versions(State(shared): State<Shared>) -> Json<Value> {
    let links = json!([{ "rel": "self", "href": format!("{}/dns/v2", shared.world().base) }]);
    Json(json!({ "versions": [{ "id": "v2", "status": "CURRENT", "links": links }] }))
}

/// Returns whether the request is for the zones of all projects. The project of the services owns nothing.
fn all_projects(headers: &HeaderMap) -> bool {
    let header = headers.get("x-auth-all-projects");
    header
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn zone(world: &World, number: usize) -> Value {
    let id = id(Kind::Zone, number);
    json!({
        "id": id, "name": format!("zone-{number}.test."), "email": "a@ex.test", "ttl": 3600, "description": null,
        "type": "PRIMARY", "status": one_of(&["ACTIVE", "PENDING", "ERROR"], number), "action": "NONE",
        "serial": 1_700_000_001_u64 + number as u64, "pool_id": "pool-1", "project_id": world.owner(number), "version": 1,
        "attributes": {}, "masters": [], "transferred_at": null, "created_at": "2026-01-01T00:00:00.000000",
        "updated_at": null, "shared": false, "links": { "self": format!("{}/dns/v2/zones/{id}", world.base) },
    })
}

fn body(name: &str, page: Page, total: usize, at: &str) -> Value {
    let mut links = json!({ "self": at });
    if let Some(next) = page.next {
        links["next"] = json!(format!("{at}?{next}"));
    }
    json!({ name: page.entries, "links": links, "metadata": { "total_count": total } })
}

async fn zones(
    State(shared): State<Shared>,
    _: Caller,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    let range = if all_projects(&headers) {
        world.range(Kind::Zone)
    } else {
        0..0
    };
    let total = range.len();
    let page = RULES.page(
        &query,
        range,
        |marker| world.find(Kind::Zone, marker),
        |number| id(Kind::Zone, number),
        |number| Some(zone(&world, number)),
    )?;
    let at = format!("{}/dns/v2/zones", world.base);
    Ok(Json(body("zones", page, total, &at)))
}

async fn record_sets(
    State(shared): State<Shared>,
    _: Caller,
    Path(zone): Path<String>,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    if !all_projects(&headers) || world.find(Kind::Zone, &zone).is_none() {
        return Err(Refusal::new(Service::Designate, 404, "Could not find Zone"));
    }
    let id = |number: usize| format!("{zone}-{number}");
    let total = world.size.record_sets;
    let page = RULES.page(
        &query,
        0..total,
        |marker| marker.strip_prefix(&format!("{zone}-"))?.parse().ok(),
        id,
        |number| {
            Some(json!({ "id": id(number), "name": format!("r{number}.test."), "type": "A", "ttl": 3600,
                "records": ["192.0.2.1"], "status": "ACTIVE", "action": "NONE", "zone_id": zone, "version": 1 }))
        },
    )?;
    let at = format!("{}/dns/v2/zones/{zone}/recordsets", world.base);
    Ok(Json(body("recordsets", page, total, &at)))
}
