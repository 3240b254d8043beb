//! Manila: shares.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::{Caller, Shared};
use crate::microversion::Versions;
use crate::page::{self, Rules, is_true};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::world::{Kind, id, one_of, user};

const VERSIONS: Versions = Versions {
    service: Service::Manila,
    word: "shared-file-system",
    header: "x-openstack-manila-api-version",
    min: (2, 0),
    max: (2, 78),
};

/// `osapi_max_limit`.
const RULES: Rules = Rules {
    service: Service::Manila,
    default: None,
    max: Some(1000),
    bad_marker: 400,
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/share", get(roots))
        .route("/share/", get(roots))
        .route("/share/v2", get(versions))
        .route("/share/v2/", get(versions))
        .route("/share/v2/{project}/shares/detail", get(shares))
}

async fn roots(State(shared): State<Shared>) -> Response {
    (StatusCode::MULTIPLE_CHOICES, versions(State(shared)).await).into_response()
}

async fn versions(State(shared): State<Shared>) -> Json<Value> {
    let href = format!("{}/share/v2/", shared.world().base);
    Json(json!({ "versions": [VERSIONS.entry("v2.0", &href)] }))
}

async fn shares(
    State(shared): State<Shared>,
    caller: Caller,
    Path(project): Path<String>,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let version = VERSIONS.requested(&headers)?;
    if caller.project.as_deref() != Some(&*project) {
        return Err(Refusal::new(Service::Manila, 400, "Malformed request url"));
    }
    let world = shared.world();
    let all = is_true(&query, "all_tenants");
    let page = RULES.page(
        &query,
        world.range(Kind::Share),
        |marker| world.find(Kind::Share, marker),
        |number| id(Kind::Share, number),
        |number| {
            let mut share = json!({
                "id": id(Kind::Share, number), "name": format!("share-{number}"), "availability_zone": "az1", "share_proto": "NFS",
                "share_type": "default", "share_network_id": null,
                "status": one_of(&["available", "creating", "error"], number), "host": "h@b#p", "is_public": false,
                "size": 1 + number % 10, "project_id": world.owner(number), "metadata": {}, "description": null,
                "created_at": "2026-01-01T00:00:00.000000", "links": [],
            });
            if version >= (2, 6) {
                share["share_type"] = json!("7f000000-0000-4000-8000-000000000001");
                share["share_type_name"] = json!("default");
            }
            if version >= (2, 16) {
                share["user_id"] = json!(user(number % world.size.projects.max(1)));
            }
            all.then_some(share)
        },
    )?;
    let mut body = json!({ "shares": page.entries });
    if let Some(next) = page.next {
        let href = format!("{}/share/v2/{project}/shares/detail?{next}", world.base);
        body["shares_links"] = json!([{ "rel": "next", "href": href }]);
    }
    Ok(Json(body))
}
