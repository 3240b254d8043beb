//! Swift: accounts and their containers.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::{Caller, Shared};
use crate::page::{self, Rules};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::world::{World, one_of, project};

/// `account_listing_limit`: a request with a larger limit is rejected.
const LISTING: usize = 10_000;

const RULES: Rules = Rules {
    service: Service::Swift,
    default: Some(LISTING),
    max: None,
    bad_marker: 400,
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/object-store/v1/{account}", get(list).head(head))
}

/// Returns the number of the project with this account. Projects whose number ends with 7 have none.
fn account(world: &World, account: &str) -> Result<usize, Refusal> {
    let missing = || Refusal::new(Service::Swift, 404, "The resource could not be found.");
    let id = account.strip_prefix("AUTH_").ok_or_else(missing)?;
    let number = id
        .strip_prefix('a')
        .and_then(|number| usize::from_str_radix(number, 16).ok());
    number
        .filter(|number| project(*number) == id && *number < world.size.projects && number % 10 != 7)
        .ok_or_else(missing)
}

fn allowed(caller: &Caller) -> Result<(), Refusal> {
    if caller.admin {
        return Ok(());
    }
    Err(Refusal::new(
        Service::Swift,
        403,
        "Access was denied to this resource.",
    ))
}

fn container(number: usize) -> Value {
    let mut entry = json!({ "name": format!("c{number:06}"), "count": 3 + number, "bytes": 500 + number,
        "last_modified": "2026-01-01T00:00:00.000000" });
    // Listings of old versions do not contain the policy.
    if number.is_multiple_of(2) {
        entry["storage_policy"] = json!(one_of(&["gold", "silver"], number));
    }
    entry
}

fn totals(world: &World) -> HeaderMap {
    let containers = 0..world.size.containers;
    let objects: usize = containers.clone().map(|number| 3 + number).sum();
    let bytes: usize = containers.map(|number| 500 + number).sum();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-account-container-count", world.size.containers),
        ("x-account-object-count", objects),
        ("x-account-bytes-used", bytes),
    ] {
        headers.insert(name, HeaderValue::from(value));
    }
    headers
}

async fn head(
    State(shared): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    let world = shared.world();
    account(&world, &name)?;
    allowed(&caller)?;
    Ok((StatusCode::NO_CONTENT, totals(&world)).into_response())
}

async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<page::Query>,
) -> Result<Response, Refusal> {
    let world = shared.world();
    account(&world, &name)?;
    allowed(&caller)?;
    if RULES.limit(&query)?.is_some_and(|limit| limit > LISTING) {
        return Err(Refusal::new(
            Service::Swift,
            412,
            format!("Maximum limit is {LISTING}"),
        ));
    }
    let all: Vec<Value> = (0..world.size.containers).map(container).collect();
    let names = |number: usize| all[number]["name"].as_str().unwrap_or_default().to_owned();
    // A marker is any text: the listing starts after it, by name.
    let begin = query.get("marker").map_or(0, |marker| {
        (0..all.len()).filter(|number| names(*number) <= *marker).count()
    });
    let mut rest = query.clone();
    rest.remove("marker");
    let page = RULES.page(
        &rest,
        begin..all.len(),
        |_| None,
        names,
        |number| Some(all[number].clone()),
    )?;
    if query.get("format").is_none_or(|format| format != "json") {
        let names: Vec<_> = page
            .entries
            .iter()
            .filter_map(|entry| entry["name"].as_str())
            .collect();
        return Ok((totals(&world), names.join("\n")).into_response());
    }
    Ok((totals(&world), Json(page.entries)).into_response())
}
