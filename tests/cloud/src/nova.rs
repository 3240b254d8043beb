//! Nova: servers and flavors.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::cloud::{Caller, Shared};
use crate::microversion::{Version, Versions};
use crate::page::{self, Rules, is_true};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::world::{Kind, World, id, one_of, user};

const VERSIONS: Versions = Versions {
    service: Service::Nova,
    word: "compute",
    header: "x-openstack-nova-api-version",
    min: (2, 1),
    max: (2, 96),
};

/// `[api] max_limit`.
const RULES: Rules = Rules {
    service: Service::Nova,
    default: None,
    max: Some(1000),
    bad_marker: 400,
};

/// The number of flavors.
const FLAVORS: usize = 5;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/compute", get(roots))
        .route("/compute/", get(roots))
        .route("/compute/v2.1", get(version))
        .route("/compute/v2.1/", get(version))
        .route("/compute/v2.1/servers/detail", get(servers))
        .route("/compute/v2.1/servers/{id}", get(one_server))
        .route("/compute/v2.1/flavors", get(flavors))
        .route("/compute/v2.1/flavors/{id}", get(one_flavor))
}

async fn roots(State(shared): State<Shared>) -> Response {
    let href = format!("{}/compute/v2.1/", shared.world().base);
    let body = json!({ "versions": [VERSIONS.entry("v2.1", &href)] });
    (StatusCode::MULTIPLE_CHOICES, Json(body)).into_response()
}

async fn version(State(shared): State<Shared>, _: Caller) -> Json<Value> {
    let href = format!("{}/compute/v2.1/", shared.world().base);
    Json(json!({ "version": VERSIONS.entry("v2.1", &href) }))
}

fn flavor(world: &World, number: usize) -> Value {
    json!({
        "id": format!("{number}"), "name": format!("m1.size-{number}"), "vcpus": number + 1, "ram": 2048 * (number + 1),
        "disk": 20, "OS-FLV-EXT-DATA:ephemeral": 5, "swap": "", "OS-FLV-DISABLED:disabled": false, "rxtx_factor": 1.0,
        // Only some projects can use the last one.
        "os-flavor-access:is_public": number + 1 < FLAVORS, "links": [{ "rel": "bookmark", "href": format!("{}/flavors/{number}", world.base) }],
    })
}

fn server(world: &World, number: usize, version: Version, gone: bool) -> Value {
    let id = id(Kind::Server, number);
    let image = crate::world::id(Kind::Image, number);
    let (status, state) = if gone {
        ("DELETED", "deleted")
    } else {
        ("ACTIVE", "active")
    };
    let host = format!("host-{}", number % world.size.hosts.max(1));
    let flavor_number = number % FLAVORS;
    let flavor = if version >= (2, 47) {
        json!({ "vcpus": flavor_number + 1, "ram": 2048 * (flavor_number + 1), "disk": 20, "ephemeral": 5, "swap": 0,
            "original_name": format!("m1.size-{flavor_number}"), "extra_specs": {} })
    } else {
        let links = json!([{ "rel": "bookmark", "href": format!("{}/flavors/{flavor_number}", world.base) }]);
        json!({ "id": format!("{flavor_number}"), "links": links })
    };
    json!({
        "id": id, "name": format!("server-{number}"), "status": status, "tenant_id": world.owner(number),
        "user_id": user(number % world.size.projects.max(1)), "hostId": "0f3a", "metadata": { "metering.server_group": "g1", "note": "x" },
        // Every fourth boots from a volume.
        "image": if number % 4 == 3 { json!("") } else {
            json!({ "id": image, "links": [{ "rel": "bookmark", "href": format!("{}/images/{image}", world.base) }] })
        },
        "flavor": flavor, "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z", "addresses": {},
        "OS-EXT-SRV-ATTR:instance_name": format!("instance-{number:08x}"), "OS-EXT-SRV-ATTR:host": host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": host, "OS-EXT-STS:vm_state": state, "OS-EXT-STS:task_state": null,
        "OS-EXT-STS:power_state": 1, "OS-EXT-AZ:availability_zone": one_of(&["az1", "az2"], number), "links": [],
        "OS-DCF:diskConfig": "MANUAL", "accessIPv4": "", "accessIPv6": "", "config_drive": "", "key_name": null, "progress": 0,
        "OS-SRV-USG:launched_at": "2026-01-01T00:00:00.000000", "OS-SRV-USG:terminated_at": null,
        "os-extended-volumes:volumes_attached": [], "security_groups": [{ "name": "default" }],
    })
}

async fn servers(
    State(shared): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let version = VERSIONS.requested(&headers)?;
    let world = shared.world();
    let changes = match query.get("changes-since") {
        None => false,
        Some(since) => {
            let invalid = || Refusal::new(Service::Nova, 400, "Invalid changes-since value");
            since.parse::<jiff::Timestamp>().map_err(|_| invalid())?;
            true
        }
    };
    let all = is_true(&query, "all_tenants");
    if all && !caller.admin {
        return Err(Refusal::new(
            Service::Nova,
            403,
            "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.",
        ));
    }
    let window = world.range(Kind::Server);
    // The changes: the removed servers, and the newest.
    let range = if changes { 0..window.end } else { window.clone() };
    let known = range.clone();
    let host = query.get("host");
    let page = RULES.page(
        &query,
        range,
        |marker| {
            let number = usize::from_str_radix(marker.rsplit('-').next()?, 16).ok()?;
            known.contains(&number).then_some(number)
        },
        |number| id(Kind::Server, number),
        |number| {
            let gone = !window.contains(&number);
            let changed = gone || number >= window.end.saturating_sub(world.first);
            let entry = server(&world, number, version, gone);
            let here = host.is_none_or(|host| entry["OS-EXT-SRV-ATTR:host"] == **host);
            (all && here && (!changes || changed)).then_some(entry)
        },
    )?;
    let mut body = json!({ "servers": page.entries });
    if let Some(next) = page.next {
        let href = format!("{}/compute/v2.1/servers/detail?{next}", world.base);
        body["servers_links"] = json!([{ "rel": "next", "href": href }]);
    }
    Ok(Json(body))
}

async fn one_server(
    State(shared): State<Shared>,
    _: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let version = VERSIONS.requested(&headers)?;
    let world = shared.world();
    match world.find(Kind::Server, &id) {
        Some(number) => Ok(Json(json!({ "server": server(&world, number, version, false) }))),
        None => {
            let message = format!("Instance {id} could not be found.");
            Err(Refusal::new(Service::Nova, 404, message))
        }
    }
}

async fn flavors(
    State(shared): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    VERSIONS.requested(&headers)?;
    // Only administrators may list flavors that are not public.
    let all = match query.get("is_public").map(|value| value.to_ascii_lowercase()) {
        None => false,
        Some(value) if value == "none" => caller.admin,
        Some(value) if value == "true" || value == "1" => false,
        Some(value) => {
            let message = format!("Invalid is_public filter [{value}]");
            return Err(Refusal::new(Service::Nova, 400, message));
        }
    };
    let world = shared.world();
    let page = RULES.page(
        &query,
        0..FLAVORS,
        |marker| marker.parse().ok(),
        |number| number.to_string(),
        |number| {
            let flavor = flavor(&world, number);
            let entry = json!({ "id": flavor["id"], "name": flavor["name"], "links": flavor["links"] });
            (all || flavor["os-flavor-access:is_public"] == true).then_some(entry)
        },
    )?;
    let mut body = json!({ "flavors": page.entries });
    if let Some(next) = page.next {
        let href = format!("{}/compute/v2.1/flavors?{next}", world.base);
        body["flavors_links"] = json!([{ "rel": "next", "href": href }]);
    }
    Ok(Json(body))
}

async fn one_flavor(
    State(shared): State<Shared>,
    _: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    VERSIONS.requested(&headers)?;
    match id.parse().ok().filter(|number| *number < FLAVORS) {
        Some(number) => Ok(Json(json!({ "flavor": flavor(&shared.world(), number) }))),
        None => Err(Refusal::new(
            Service::Nova,
            404,
            format!("Flavor {id} could not be found."),
        )),
    }
}
