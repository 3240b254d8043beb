//! Keystone: tokens, domains, projects, users.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::clock;
use crate::cloud::{Caller, Shared};
use crate::page::{self, is_true};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::world::{World, project, user};

/// The only user: an administrator.
pub const USER: &str = "nephoscope";

/// The user's password, and the secret of its application credential, whose id is the user's name.
pub const PASSWORD: &str = "telescope";

/// The secret key of the object gateway's administrator, whose access key is [`USER`].
pub const SECRET_KEY: &str = "astrolabe";

/// The project of the services.
const SERVICE_PROJECT: &str = "5e71ce00000000000000000000000000";

/// The user's id.
const USER_ID: &str = "05e70000000000000000000000000000";

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/identity", get(versions))
        .route("/identity/", get(versions))
        .route("/identity/v3", get(version))
        .route("/identity/v3/", get(version))
        .route("/identity/v3/auth/tokens", post(authenticate))
        .route("/identity/v3/domains", get(domains))
        .route("/identity/v3/projects", get(projects))
        .route("/identity/v3/projects/{id}", get(one_project))
        .route("/identity/v3/users/{id}", get(one_user))
}

fn refused(status: u16, message: &str) -> Refusal {
    Refusal::new(Service::Keystone, status, message)
}

fn version_entry(world: &World) -> Value {
    json!({
        "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
        "links": [{ "rel": "self", "href": format!("{}/identity/v3/", world.base) }],
        "media-types": [{ "base": "application/json", "type": "application/vnd.openstack.identity-v3+json" }],
    })
}

async fn versions(State(shared): State<Shared>) -> Response {
    let entry = version_entry(&shared.world());
    let body = json!({ "versions": { "values": [entry] } });
    (StatusCode::MULTIPLE_CHOICES, Json(body)).into_response()
}

async fn version(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({ "version": version_entry(&shared.world()) }))
}

/// The scope of an authentication request.
enum Scope {
    None,
    Project(String),
    Domain,
    System,
}

async fn authenticate(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    if headers
        .get("content-type")
        .is_none_or(|value| value != "application/json")
    {
        return Err(refused(415, "Expecting application/json."));
    }
    let body: Value = serde_json::from_slice(&body).map_err(|_| {
        refused(
            400,
            "The server could not comply with the request: malformed JSON.",
        )
    })?;
    let auth = body
        .get("auth")
        .ok_or_else(|| refused(400, "'auth' is a required property"))?;
    let identity = &auth["identity"];
    let methods = identity["methods"]
        .as_array()
        .filter(|methods| !methods.is_empty())
        .ok_or_else(|| refused(400, "'methods' is a required property"))?;
    let credential = methods.iter().any(|method| method == "application_credential");
    for method in methods {
        check(&shared, method.as_str().unwrap_or_default(), identity)?;
    }
    let scope = scope(&shared.world(), auth.get("scope"))?;
    if credential && !matches!(scope, Scope::None) {
        return Err(refused(401, "Application credentials cannot request a scope."));
    }
    Ok(token(&shared, scope, credential, methods))
}

fn check(shared: &Shared, method: &str, identity: &Value) -> Result<(), Refusal> {
    let unauthorized = || refused(401, "The request you have made requires authentication.");
    let given = identity
        .get(method)
        .ok_or_else(|| refused(400, &format!("Expecting to find {method} in identity")))?;
    let by_name = |user: &Value| {
        user["name"] == USER && (user["domain"]["name"] == "Default" || user["domain"]["id"] == "default")
    };
    let known = match method {
        "password" => {
            let user = &given["user"];
            if user.get("id").is_none() && user.get("domain").is_none() {
                return Err(refused(400, "Expecting to find domain in user."));
            }
            (user["id"] == USER_ID || by_name(user)) && user["password"] == PASSWORD
        }
        "application_credential" => {
            let named = given["name"] == USER && (given["user"]["id"] == USER_ID || by_name(&given["user"]));
            (given["id"] == USER || named) && given["secret"] == PASSWORD
        }
        "token" => given["id"]
            .as_str()
            .is_some_and(|text| shared.token(text).is_some()),
        _ => {
            return Err(refused(
                401,
                &format!("Attempted to authenticate with an unsupported method: {method}."),
            ));
        }
    };
    if known { Ok(()) } else { Err(unauthorized()) }
}

fn scope(world: &World, scope: Option<&Value>) -> Result<Scope, Refusal> {
    let Some(scope) = scope else {
        return Ok(Scope::None);
    };
    if scope == "unscoped" {
        return Ok(Scope::None);
    }
    let unauthorized = || refused(401, "The request you have made requires authentication.");
    let default = |domain: &Value| domain["id"] == "default" || domain["name"] == "Default";
    if let Some(system) = scope.get("system") {
        return if system["all"] == true {
            Ok(Scope::System)
        } else {
            Err(refused(400, "'all' is a required property of system"))
        };
    }
    if let Some(domain) = scope.get("domain") {
        return if default(domain) {
            Ok(Scope::Domain)
        } else {
            Err(unauthorized())
        };
    }
    let wanted = scope
        .get("project")
        .ok_or_else(|| refused(400, "Invalid scope."))?;
    if let Some(id) = wanted["id"].as_str() {
        let enabled = id == SERVICE_PROJECT || number(world, id).is_some_and(enabled);
        return if enabled {
            Ok(Scope::Project(id.to_owned()))
        } else {
            Err(unauthorized())
        };
    }
    if wanted.get("domain").is_none() {
        return Err(refused(400, "Expecting to find domain in project."));
    }
    if wanted["name"] == "service" && default(&wanted["domain"]) {
        return Ok(Scope::Project(SERVICE_PROJECT.to_owned()));
    }
    Err(unauthorized())
}

fn token(shared: &Shared, scope: Scope, credential: bool, methods: &[Value]) -> Response {
    let project = match &scope {
        Scope::Project(id) => Some(id.clone()),
        Scope::None if credential => Some(SERVICE_PROJECT.to_owned()),
        _ => None,
    };
    let scoped = project.is_some() || !matches!(scope, Scope::None);
    let (text, lifetime) = shared.give_token(project.clone(), scoped);
    let issued = clock::now();
    let expires = issued.checked_add(lifetime).unwrap();
    let mut token = json!({
        "methods": methods,
        "user": { "id": USER_ID, "name": USER, "domain": { "id": "default", "name": "Default" },
            "password_expires_at": null },
        "audit_ids": ["a"],
        "issued_at": clock::text(issued),
        "expires_at": clock::text(expires),
    });
    if scoped {
        token["roles"] = json!([{ "id": "r", "name": "admin" }]);
        token["catalog"] = catalog(shared, project.as_deref().unwrap_or("None"));
    }
    match scope {
        Scope::System => token["system"] = json!({ "all": true }),
        Scope::Domain => token["domain"] = json!({ "id": "default", "name": "Default" }),
        _ => {}
    }
    if let Some(id) = project {
        token["project"] =
            json!({ "id": id, "name": "service", "domain": { "id": "default", "name": "Default" } });
    }
    (
        StatusCode::CREATED,
        [("x-subject-token", text)],
        Json(json!({ "token": token })),
    )
        .into_response()
}

fn catalog(shared: &Shared, project: &str) -> Value {
    let world = shared.world();
    let services = shared.services();
    let entries = services.iter().map(|service| {
        let path = service.endpoint(project);
        let endpoint = |interface: &str| {
            json!({ "id": format!("{}-{interface}", service.name()), "interface": interface, "region": "RegionOne",
                "region_id": "RegionOne", "url": format!("{}{path}", world.base) })
        };
        json!({ "id": service.name(), "name": service.name(), "type": service.catalog_type(),
            "endpoints": [endpoint("public"), endpoint("internal"), endpoint("admin")] })
    });
    entries.collect()
}

fn domain_id(number: usize) -> String {
    match number {
        0 => "default".to_owned(),
        number => format!("d{number:031x}"),
    }
}

/// Every tenth is disabled.
fn enabled(number: usize) -> bool {
    number % 10 != 9
}

fn number(world: &World, id: &str) -> Option<usize> {
    let number = usize::from_str_radix(id.strip_prefix('a')?, 16).ok()?;
    (project(number) == id && number < world.size.projects).then_some(number)
}

fn project_entry(world: &World, number: usize) -> Value {
    let domain = domain_id(number % (world.size.domains + 1));
    json!({
        "id": project(number), "name": format!("project-{number}"), "enabled": enabled(number), "domain_id": domain,
        "parent_id": domain, "is_domain": false, "description": "", "tags": [], "options": {},
        "links": { "self": format!("{}/identity/v3/projects/{}", world.base, project(number)) },
    })
}

fn service_project(world: &World) -> Value {
    json!({
        "id": SERVICE_PROJECT, "name": "service", "enabled": true, "domain_id": "default", "parent_id": "default",
        "is_domain": false, "description": "", "tags": [], "options": {},
        "links": { "self": format!("{}/identity/v3/projects/{SERVICE_PROJECT}", world.base) },
    })
}

fn admin(caller: &Caller) -> Result<(), Refusal> {
    if caller.admin {
        return Ok(());
    }
    Err(refused(
        403,
        "You are not authorized to perform the requested action.",
    ))
}

async fn domains(
    State(shared): State<Shared>,
    caller: Caller,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    admin(&caller)?;
    let world = shared.world();
    let all = (0..=world.size.domains).map(|number| {
        let (id, name) = (domain_id(number), format!("domain-{number}"));
        let name = if number == 0 { "Default".to_owned() } else { name };
        json!({ "id": id, "name": name, "enabled": enabled(number), "description": "", "tags": [], "options": {},
            "links": { "self": format!("{}/identity/v3/domains/{id}", world.base) } })
    });
    let domains: Vec<_> = all.filter(|domain| fits(&query, domain)).collect();
    let links =
        json!({ "next": null, "self": format!("{}/identity/v3/domains", world.base), "previous": null });
    Ok(Json(json!({ "domains": domains, "links": links })))
}

async fn projects(
    State(shared): State<Shared>,
    caller: Caller,
    Query(query): Query<page::Query>,
) -> Result<Json<Value>, Refusal> {
    admin(&caller)?;
    let world = shared.world();
    let all = (0..world.size.projects).map(|number| project_entry(&world, number));
    let projects: Vec<_> = all
        .chain([service_project(&world)])
        .filter(|project| fits(&query, project))
        .collect();
    let links =
        json!({ "next": null, "self": format!("{}/identity/v3/projects", world.base), "previous": null });
    Ok(Json(json!({ "projects": projects, "links": links })))
}

/// Returns whether an entry matches the filters of a query.
fn fits(query: &page::Query, entry: &Value) -> bool {
    let domain = query
        .get("domain_id")
        .is_none_or(|wanted| entry["domain_id"] == **wanted);
    let enabled = !query.contains_key("enabled") || entry["enabled"] == is_true(query, "enabled");
    let name = query.get("name").is_none_or(|wanted| entry["name"] == **wanted);
    domain && enabled && name
}

async fn one_project(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    admin(&caller)?;
    let world = shared.world();
    let found = match number(&world, &id) {
        Some(number) => project_entry(&world, number),
        None if id == SERVICE_PROJECT => service_project(&world),
        None => return Err(refused(404, &format!("Could not find project: {id}."))),
    };
    Ok(Json(json!({ "project": found })))
}

async fn one_user(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    admin(&caller)?;
    let world = shared.world();
    let number = id
        .strip_prefix('b')
        .and_then(|number| usize::from_str_radix(number, 16).ok())
        .filter(|number| user(*number) == id && *number < world.size.projects);
    let name = match number {
        Some(number) => format!("user-{number}"),
        None if id == USER_ID => USER.to_owned(),
        None => return Err(refused(404, &format!("Could not find user: {id}."))),
    };
    let user = json!({ "id": id, "name": name, "enabled": true, "domain_id": "default", "options": {},
        "password_expires_at": null, "links": { "self": format!("{}/identity/v3/users/{id}", world.base) } });
    Ok(Json(json!({ "user": user })))
}
