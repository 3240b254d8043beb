//! Ceph's object gateway: its admin API.

use axum::extract::{OriginalUri, Query, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::Shared;
use crate::keystone::{SECRET_KEY, USER};
use crate::page::{self, is_true};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::signature;
use crate::world::{World, project};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/admin/bucket", get(bucket))
        .route("/admin/usage", get(usage))
}

/// Checks the signature, and returns the number of the project of a user: `P`, or `P$P`.
fn enter(
    world: &World,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    query: &page::Query,
) -> Result<Option<usize>, Refusal> {
    signature::check(method, uri, headers, USER, SECRET_KEY)
        .map_err(|wrong| Refusal::new(Service::Rgw, 403, wrong))?;
    let Some(uid) = query.get("uid") else {
        return Err(Refusal::new(Service::Rgw, 400, "InvalidArgument"));
    };
    let id = match uid.split_once('$') {
        Some((tenant, user)) if tenant == user => user,
        Some(_) => return Ok(None),
        None => uid,
    };
    let number = id
        .strip_prefix('a')
        .and_then(|number| usize::from_str_radix(number, 16).ok());
    Ok(number.filter(|number| project(*number) == id && *number < world.size.projects))
}

async fn bucket(
    State(shared): State<Shared>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    let user = enter(&world, &method, &uri, &headers, &query)?;
    if user.is_none() {
        return Err(Refusal::new(Service::Rgw, 404, "NoSuchUser"));
    }
    let stats = is_true(&query, "stats");
    let buckets: Vec<_> = (0..world.size.containers)
        .map(|number| {
            let name = format!("b{number}");
            if !stats {
                return json!(name);
            }
            let main =
                json!({ "size_kb": 10 + number, "size_kb_actual": 12 + number, "num_objects": 3 + number });
            // Every third is empty, every fifth has parts of uploads.
            let usage = match number {
                number if number % 3 == 2 => json!({}),
                number if number % 5 == 0 => {
                    let parts = json!({ "size_kb": 0, "size_kb_actual": 0, "num_objects": 1 });
                    json!({ "rgw.main": main, "rgw.multimeta": parts })
                }
                _ => json!({ "rgw.main": main }),
            };
            json!({ "bucket": name, "owner": query["uid"], "usage": usage, "id": "x", "tenant": "" })
        })
        .collect();
    Ok(Json(json!(buckets)))
}

async fn usage(
    State(shared): State<Shared>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let world = shared.world();
    let user = enter(&world, &method, &uri, &headers, &query)?;
    let summary: Vec<_> = user
        .iter()
        .map(|number| {
            let total =
                json!({ "bytes_sent": 1, "bytes_received": 2, "ops": 7 + number, "successful_ops": 6 });
            json!({ "user": query["uid"], "categories": [], "total": total })
        })
        .collect();
    Ok(Json(json!({ "entries": [], "summary": summary })))
}
