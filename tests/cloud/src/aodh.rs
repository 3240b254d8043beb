//! Aodh: the counts of alarm evaluations.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::{Caller, Shared};
use crate::page::{self, is_true};
use crate::world::{Kind, id};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/alarming", get(versions))
        .route("/alarming/", get(versions))
        .route("/alarming/v2/metrics", get(metrics))
}

async fn versions() -> Json<Value> {
    Json(json!({ "versions": { "values": [{ "id": "v2", "status": "stable", "links": [] }] } }))
}

async fn metrics(State(shared): State<Shared>, _: Caller, Query(query): Query<page::Query>) -> Json<Value> {
    let world = shared.world();
    // The project of the services owns nothing.
    let range = if is_true(&query, "all_projects") {
        world.range(Kind::Alarm)
    } else {
        0..0
    };
    let results: Vec<_> = range
        .map(|number| {
            json!({ "alarm_id": id(Kind::Alarm, number), "project_id": world.owner(number),
                "state_counters": { "ok": 2 + number, "alarm": 5, "insufficient data": 0 } })
        })
        .collect();
    Json(json!({ "evaluation_results": results }))
}
