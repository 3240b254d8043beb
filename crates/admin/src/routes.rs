//! The routes of the admin API and their handlers.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::{get, post};
use serde_json::json;

use crate::metrics::Format;
use crate::query::{DropOld, Limit, Which};
use crate::state::AdminState;
use crate::{members, response, views};

/// The default number of cycles in a response.
const CYCLES: usize = 20;

/// The maximum number of cycles in a response: the engine stores no more.
const MOST_CYCLES: usize = 200;

/// The default number of resources of a pollster in a response. The count includes all resources.
const RESOURCES: usize = 100;

/// The maximum number of resources of a pollster in a response: the engine stores no more.
const MOST_RESOURCES: usize = 10_000;

/// The error for an unknown publisher or a publisher without a spool.
const NO_SPOOL: &str = "no publisher with this name has a spool";

/// The routes of a listener, and its access rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Surface {
    /// All routes. On TCP, requests must use one of these host names, `localhost`, a loopback address, or the address
    /// that the client connected to.
    Full {
        /// The names of this host.
        host_names: Vec<String>,
        /// Whether the listener has the routes that change spools. Only the unix socket has them.
        changes: bool,
    },
    /// Only `/healthz`, `/readyz` and `/metrics`, under any host name (`agent.metrics`).
    MetricsOnly,
}

/// A route of the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The path.
    pub path: &'static str,
    /// The content of the response.
    pub description: &'static str,
    /// The listeners that serve the path.
    pub reach: Reach,
}

/// The listeners that serve a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All listeners, including `agent.metrics`.
    Metrics,
    /// All listeners of the admin API.
    Admin,
    /// Only the unix socket, with POST, because the request changes something.
    Change,
}

/// All routes.
pub const ROUTES: &[Route] = &[
    Route {
        path: "/healthz",
        description: "Whether the scheduler is alive: 200, or 503 if it has not woken up for 5 s",
        reach: Reach::Metrics,
    },
    Route {
        path: "/readyz",
        description: "Whether the agent does its work, with reasons: 503 only if due resources cannot be polled, or if no publisher and no spool accepts samples",
        reach: Reach::Metrics,
    },
    Route {
        path: "/metrics",
        description: "Metrics as Prometheus text 0.0.4 or as OpenMetrics",
        reach: Reach::Metrics,
    },
    Route {
        path: "/api/v1/tasks",
        description: "Sources, pollsters and the state of each schedule",
        reach: Reach::Admin,
    },
    Route {
        path: "/api/v1/cycles",
        description: "The last cycles, newest first (`limit`: 1 to 200, default 20)",
        reach: Reach::Admin,
    },
    Route {
        path: "/api/v1/resources",
        description: "Backed-off resources with reasons, hung pollsters, and counts of discoveries and pollsters (`limit`: resources shown of each pollster, 1 to 10000, default 100)",
        reach: Reach::Admin,
    },
    Route {
        path: PUBLISHERS_PATH,
        description: "The state, queue, spool and counts of each publisher",
        reach: Reach::Admin,
    },
    Route {
        path: DRAIN_PATH,
        description: "Delivers the current contents of spools before new samples, and without waiting for the next retry; `publisher` selects one spool. Returns at once: the drain is complete, except for unsupported encodings, when `low` of the spool in `/api/v1/publishers` has reached the `until` of the response",
        reach: Reach::Change,
    },
    Route {
        path: DROP_PATH,
        description: "Drops samples that are older than `older_than` seconds, except batches in flight; `publisher` selects one spool, default: all",
        reach: Reach::Change,
    },
    Route {
        path: "/api/v1/members",
        description: "The pool: members, plans, the lease of this agent, and the health of etcd",
        reach: Reach::Admin,
    },
];

/// The path of the publishers.
pub(crate) const PUBLISHERS_PATH: &str = "/api/v1/publishers";

/// The path for draining spools.
pub(crate) const DRAIN_PATH: &str = "/api/v1/spool/drain";

/// The path for dropping old samples from spools.
pub(crate) const DROP_PATH: &str = "/api/v1/spool/drop";

/// Returns whether a path changes something by POST.
pub(crate) fn changes(path: &str) -> bool {
    let mut routes = ROUTES.iter().filter(|route| route.reach == Reach::Change);
    routes.any(|route| route.path == path)
}

/// Returns the paths of a surface.
pub(crate) fn paths(surface: &Surface) -> Vec<&'static str> {
    let has = |reach| match surface {
        Surface::Full { changes, .. } => *changes || reach != Reach::Change,
        Surface::MetricsOnly => reach == Reach::Metrics,
    };
    ROUTES
        .iter()
        .filter(|route| has(route.reach))
        .map(|route| route.path)
        .collect()
}

/// Builds the router of a surface.
pub(crate) fn router(surface: Surface, state: AdminState) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    if let Surface::Full { changes, .. } = &surface {
        router = router
            .route("/api/v1/tasks", get(tasks))
            .route("/api/v1/cycles", get(cycles))
            .route("/api/v1/resources", get(resources))
            .route(PUBLISHERS_PATH, get(publishers))
            .route("/api/v1/members", get(members));
        if *changes {
            router = router
                .route(DRAIN_PATH, post(drain))
                .route(DROP_PATH, post(drop_old));
        }
    }
    router
        .method_not_allowed_fallback(|| std::future::ready(response::post_required()))
        .fallback(move || std::future::ready(response::not_found(&surface)))
        .with_state(state)
}

async fn healthz(State(state): State<AdminState>) -> Response<Body> {
    let alive = state.is_alive();
    let status = if alive {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    response::json(
        status,
        &json!({ "alive": alive, "last_tick_age": state.engine().scheduler().last_tick_age_seconds }),
    )
}

async fn readyz(State(state): State<AdminState>) -> Response<Body> {
    let readiness = state.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    response::json(status, &readiness)
}

async fn metrics(State(state): State<AdminState>, headers: HeaderMap) -> Response<Body> {
    let accept: Vec<_> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let format = Format::accepted(&accept.join(","));
    match state.metrics().encode(format) {
        Ok(text) => response::of(StatusCode::OK, format.content_type(), text),
        Err(_) => response::error(StatusCode::INTERNAL_SERVER_ERROR, "cannot encode the metrics"),
    }
}

async fn tasks(State(state): State<AdminState>) -> Response<Body> {
    response::json(StatusCode::OK, &views::tasks(&state))
}

async fn cycles(
    State(state): State<AdminState>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Response<Body> {
    match Limit::of(query, CYCLES, MOST_CYCLES) {
        Ok(limit) => response::json(StatusCode::OK, &views::cycles(&state, limit)),
        Err(text) => response::error(StatusCode::BAD_REQUEST, &text),
    }
}

async fn resources(
    State(state): State<AdminState>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Response<Body> {
    match Limit::of(query, RESOURCES, MOST_RESOURCES) {
        Ok(limit) => response::json(StatusCode::OK, &views::resources(&state, limit)),
        Err(text) => response::error(StatusCode::BAD_REQUEST, &text),
    }
}

async fn publishers(State(state): State<AdminState>) -> Response<Body> {
    response::json(StatusCode::OK, &views::publishers(&state))
}

async fn drain(
    State(state): State<AdminState>,
    query: Result<Query<Which>, QueryRejection>,
) -> Response<Body> {
    let which = match Which::of(query) {
        Ok(which) => which,
        Err(text) => return response::error(StatusCode::BAD_REQUEST, &text),
    };
    match views::drain(&state, which.as_deref()) {
        Some(drains) => response::json(StatusCode::OK, &drains),
        None => response::error(StatusCode::NOT_FOUND, NO_SPOOL),
    }
}

async fn drop_old(
    State(state): State<AdminState>,
    query: Result<Query<DropOld>, QueryRejection>,
) -> Response<Body> {
    let (older_than, which) = match DropOld::of(query) {
        Ok(query) => query,
        Err(text) => return response::error(StatusCode::BAD_REQUEST, &text),
    };
    match views::drop_old(&state, older_than, which.as_deref()).await {
        Some(drops) => response::json(StatusCode::OK, &drops),
        None => response::error(StatusCode::NOT_FOUND, NO_SPOOL),
    }
}

async fn members(State(state): State<AdminState>) -> Response<Body> {
    response::json(StatusCode::OK, &members::members(&state))
}
