//! Cinder: volumes, snapshots, backups, pools, services.

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
    service: Service::Cinder,
    word: "volume",
    header: "openstack-volume-api-version",
    min: (3, 0),
    max: (3, 71),
};

/// `osapi_max_limit`.
const RULES: Rules = Rules {
    service: Service::Cinder,
    default: None,
    max: Some(1000),
    bad_marker: 404,
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/volume", get(roots))
        .route("/volume/", get(roots))
        .route("/volume/v3", get(versions))
        .route("/volume/v3/", get(versions))
        .route("/volume/v3/{project}/volumes/detail", get(volumes))
        .route("/volume/v3/{project}/snapshots/detail", get(snapshots))
        .route("/volume/v3/{project}/backups/detail", get(backups))
        .route("/volume/v3/{project}/scheduler-stats/get_pools", get(pools))
        .route("/volume/v3/{project}/os-services", get(services))
}

async fn roots(State(shared): State<Shared>) -> Response {
    (StatusCode::MULTIPLE_CHOICES, versions(State(shared)).await).into_response()
}

async fn versions(State(shared): State<Shared>) -> Json<Value> {
    let href = format!("{}/volume/v3/", shared.world().base);
    Json(json!({ "versions": [VERSIONS.entry("v3.0", &href)] }))
}

/// Checks that apply to all requests: the version, and the project of the token in the path.
fn enter(caller: &Caller, project: &str, headers: &HeaderMap) -> Result<Version, Refusal> {
    let version = VERSIONS.requested(headers)?;
    if caller.project.as_deref() != Some(project) {
        return Err(Refusal::new(Service::Cinder, 400, "Malformed request url"));
    }
    Ok(version)
}

fn listing(
    world: &World,
    query: &page::Query,
    (kind, name, path): (Kind, &str, &str),
    make: impl Fn(usize) -> Value,
) -> Result<Json<Value>, Refusal> {
    // The project of the services owns nothing.
    let all = is_true(query, "all_tenants");
    let page = RULES.page(
        query,
        world.range(kind),
        |marker| world.find(kind, marker),
        |number| id(kind, number),
        |number| all.then(|| make(number)),
    )?;
    let mut body = json!({ name: page.entries });
    if let Some(next) = page.next {
        let href = format!("{}{path}?{next}", world.base);
        body[format!("{name}_links")] = json!([{ "rel": "next", "href": href }]);
    }
    Ok(Json(body))
}

fn attachments(number: usize) -> Value {
    if number.is_multiple_of(2) {
        return json!([]);
    }
    json!([{ "server_id": id(Kind::Server, number), "attachment_id": "at", "device": "/dev/vdb", "host_name": null,
        "volume_id": id(Kind::Volume, number), "id": id(Kind::Volume, number), "attached_at": "2026-01-01T00:00:00.000000" }])
}

async fn volumes(
    State(shared): State<Shared>,
    caller: Caller,
    Path(project): Path<String>,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let version = enter(&caller, &project, &headers)?;
    let world = shared.world();
    let path = format!("/volume/v3/{project}/volumes/detail");
    listing(&world, &query, (Kind::Volume, "volumes", &path), |number| {
        let mut volume = json!({
            "id": id(Kind::Volume, number), "name": format!("volume-{number}"), "size": 1 + number % 100,
            "status": if number % 2 == 1 { "in-use" } else { "available" }, "volume_type": "ssd", "availability_zone": "az1",
            "os-vol-host-attr:host": "h@b#p", "migration_status": null, "attachments": attachments(number), "snapshot_id": null,
            "source_volid": null, "user_id": user(number % world.size.projects.max(1)), "bootable": "false", "encrypted": false,
            "os-vol-tenant-attr:tenant_id": world.owner(number), "description": null, "metadata": {}, "multiattach": false,
            "created_at": "2026-01-01T00:00:00.000000", "updated_at": "2026-01-01T00:00:00.000000", "replication_status": null,
            "consistencygroup_id": null, "os-vol-mig-status-attr:migstat": null, "os-vol-mig-status-attr:name_id": null,
        });
        if number.is_multiple_of(3) {
            volume["volume_image_metadata"] =
                json!({ "image_id": id(Kind::Image, number), "image_name": "i" });
        }
        if version >= (3, 63) {
            volume["volume_type_id"] = json!("7e000000-0000-4000-8000-000000000001");
        }
        volume
    })
}

async fn snapshots(
    State(shared): State<Shared>,
    caller: Caller,
    Path(project): Path<String>,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let version = enter(&caller, &project, &headers)?;
    let world = shared.world();
    let path = format!("/volume/v3/{project}/snapshots/detail");
    listing(&world, &query, (Kind::Snapshot, "snapshots", &path), |number| {
        let mut snapshot = json!({
            "id": id(Kind::Snapshot, number), "name": format!("snapshot-{number}"), "volume_id": id(Kind::Volume, number),
            "status": "available", "description": null, "metadata": { "k": "v" }, "size": 1 + number % 100,
            "os-extended-snapshot-attributes:progress": "100%",
            "os-extended-snapshot-attributes:project_id": world.owner(number),
            "created_at": "2026-01-01T00:00:00.000000", "updated_at": null,
        });
        if version >= (3, 41) {
            snapshot["user_id"] = json!(user(number % world.size.projects.max(1)));
        }
        snapshot
    })
}

async fn backups(
    State(shared): State<Shared>,
    caller: Caller,
    Path(project): Path<String>,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    let version = enter(&caller, &project, &headers)?;
    let world = shared.world();
    let path = format!("/volume/v3/{project}/backups/detail");
    listing(&world, &query, (Kind::Backup, "backups", &path), |number| {
        let mut backup = json!({
            "id": id(Kind::Backup, number), "name": format!("backup-{number}"), "is_incremental": number % 2 == 1,
            "object_count": 2, "container": "c", "volume_id": id(Kind::Volume, number), "status": "available",
            "description": null, "size": 1 + number % 100, "availability_zone": "az1", "fail_reason": null,
            "has_dependent_backups": false, "created_at": "2026-01-01T00:00:00.000000", "links": [],
        });
        if version >= (3, 18) {
            backup["os-backup-project-attr:project_id"] = json!(world.owner(number));
        }
        if version >= (3, 56) {
            backup["user_id"] = json!(user(number % world.size.projects.max(1)));
        }
        backup
    })
}

async fn pools(
    State(shared): State<Shared>,
    caller: Caller,
    Path(project): Path<String>,
    headers: HeaderMap,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    enter(&caller, &project, &headers)?;
    let detail = is_true(&query, "detail");
    let pools: Vec<_> = (0..shared.world().size.pools)
        .map(|number| {
            let name = format!("host-{number}@backend#pool");
            if !detail {
                return json!({ "name": name });
            }
            // One kind does not know its size.
            let (total, free) = match number % 10 {
                9 => (json!("unknown"), json!("infinite")),
                _ => (json!(100.0), json!(60.0)),
            };
            json!({ "name": name, "capabilities": {
                "pool_name": "pool", "total_capacity_gb": total, "free_capacity_gb": free, "reserved_percentage": 5,
                "provisioned_capacity_gb": one_of(&[80.0, 0.0], number), "max_over_subscription_ratio": "2.0",
                "thin_provisioning_support": true, "allocated_capacity_gb": number, "volume_backend_name": "backend",
                "storage_protocol": "ceph", "driver_version": "1.0", "timestamp": "2026-01-01T00:00:00.000000",
            } })
        })
        .collect();
    Ok(Json(json!({ "pools": pools })))
}

async fn services(
    State(shared): State<Shared>,
    caller: Caller,
    Path(project): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    enter(&caller, &project, &headers)?;
    let services: Vec<_> = (0..shared.world().size.pools)
        .map(|number| {
            json!({ "binary": one_of(&["cinder-volume", "cinder-scheduler"], number), "host": format!("host-{number}@backend"),
                "zone": "nova", "status": "enabled", "state": if number % 10 == 9 { "down" } else { "up" },
                "updated_at": "2026-01-01T00:00:00.000000", "disabled_reason": null })
        })
        .collect();
    Ok(Json(json!({ "services": services })))
}
