//! Glance: images.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::{Caller, Shared};
use crate::page::{self, Rules};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::world::{Kind, World, id, one_of};

/// `limit_param_default` and `api_limit_max`.
const RULES: Rules = Rules {
    service: Service::Glance,
    default: Some(25),
    max: Some(1000),
    bad_marker: 400,
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/image", get(versions))
        .route("/image/", get(versions))
        .route("/image/v2/images", get(images))
        .route("/image/v2/images/{id}", get(one))
}

async fn versions(State(shared): State<Shared>) -> Response {
    let base = shared.world().base;
    let entry = |id: &str, status: &str| json!({ "id": id, "status": status, "links": [{ "rel": "self", "href": format!("{base}/image/v2/") }] });
    let body = json!({ "versions": [entry("v2.16", "CURRENT"), entry("v2.15", "SUPPORTED")] });
    (StatusCode::MULTIPLE_CHOICES, Json(body)).into_response()
}

pub(crate) fn image(world: &World, number: usize) -> Value {
    let id = id(Kind::Image, number);
    // Every twentieth image has no data yet.
    let queued = number % 20 == 19;
    json!({
        "id": id, "name": format!("image-{number}"), "status": if queued { "queued" } else { "active" },
        "visibility": one_of(&["public", "private", "shared"], number),
        "container_format": "bare", "disk_format": one_of(&["qcow2", "raw"], number),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z", "min_disk": 1, "min_ram": 0,
        "protected": number.is_multiple_of(2), "checksum": if queued { Value::Null } else { json!("d41d8cd98f00b204e9800998ecf8427e") },
        "owner": world.owner(number), "size": if queued { Value::Null } else { json!(1024 + number) }, "virtual_size": null,
        "tags": ["a"], "os_hidden": false, "os_hash_algo": "sha512", "os_hash_value": null, "os_distro": "debian",
        "self": format!("/v2/images/{id}"), "file": format!("/v2/images/{id}/file"), "schema": "/v2/schemas/image",
    })
}

async fn images(
    State(shared): State<Shared>,
    _: Caller,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    let page = RULES.page(
        &query,
        world.range(Kind::Image),
        |marker| world.find(Kind::Image, marker),
        |number| id(Kind::Image, number),
        |number| Some(image(&world, number)),
    )?;
    let mut body = json!({ "images": page.entries, "first": "/v2/images", "schema": "/v2/schemas/images" });
    if let Some(next) = page.next {
        // Glance does not know its prefix.
        body["next"] = json!(format!("/v2/images?{next}"));
    }
    Ok(Json(body))
}

async fn one(
    State(shared): State<Shared>,
    _: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    match world.find(Kind::Image, &id) {
        Some(number) => Ok(Json(image(&world, number))),
        None => Err(Refusal::new(
            Service::Glance,
            404,
            format!("No image found with ID {id}"),
        )),
    }
}
