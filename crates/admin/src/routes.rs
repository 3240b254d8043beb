//! The paths and what stands behind them.

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
use crate::{answer, members, views};

/// How many cycles are shown unless the request says otherwise.
const CYCLES: usize = 20;

/// How many cycles may be asked for: the engine keeps no more.
const MOST_CYCLES: usize = 200;

/// How many resources of a pollster are shown unless the request says otherwise; all are counted.
const RESOURCES: usize = 100;

/// How many resources of a pollster may be asked for: the engine remembers no more.
const MOST_RESOURCES: usize = 10_000;

/// What is said of a name that is none.
const NO_SPOOL: &str = "there is no publisher of this name that has a spool";

/// What a listener offers, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Surface {
    /// Everything. On TCP, only to requests under these host names, `localhost`, a loopback address, or the address
    /// that the client connected to.
    Full {
        /// Names of this host.
        host_names: Vec<String>,
        /// Whether there is also what changes something: on a unix socket.
        changes: bool,
    },
    /// `/healthz`, `/readyz` and `/metrics` alone, under any host name (`agent.metrics`).
    MetricsOnly,
}

/// A path of the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The path.
    pub path: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// Who has it.
    pub reach: Reach,
}

/// Who has a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All listeners, that for the metrics alone too.
    Metrics,
    /// The admin API.
    Admin,
    /// The admin API on a unix socket, for POST: it changes something.
    Change,
}

/// All paths.
pub const ROUTES: &[Route] = &[
    Route {
        path: "/healthz",
        description: "Whether the scheduler is alive: 200, or 503 when it did not wake up for 5 s",
        reach: Reach::Metrics,
    },
    Route {
        path: "/readyz",
        description: "Whether the agent does its work, with reasons: 503 only when due resources cannot be polled or nothing can be published or spooled",
        reach: Reach::Metrics,
    },
    Route {
        path: "/metrics",
        description: "Metrics, as Prometheus text 0.0.4 or as OpenMetrics",
        reach: Reach::Metrics,
    },
    Route {
        path: "/api/v1/tasks",
        description: "What is polled on which schedule, and how the schedules fare",
        reach: Reach::Admin,
    },
    Route {
        path: "/api/v1/cycles",
        description: "The last cycles, newest first (`limit`: 1 to 200, default 20)",
        reach: Reach::Admin,
    },
    Route {
        path: "/api/v1/resources",
        description: "Resources that are set aside and why, pollsters that hang, listings and pollsters with their counts (`limit`: resources shown of each pollster, 1 to 10000, default 100)",
        reach: Reach::Admin,
    },
    Route {
        path: PUBLISHERS_PATH,
        description: "What each publisher is doing, its queue, its spool and its counts",
        reach: Reach::Admin,
    },
    Route {
        path: DRAIN_PATH,
        description: "Delivers what spools hold now, before what is fresh and without waiting for the next retry; `publisher` names one. Answers at once: a spool is empty, but for what its publisher does not take, when its `low` in `/api/v1/publishers` has reached the `until` of the answer",
        reach: Reach::Change,
    },
    Route {
        path: DROP_PATH,
        description: "Drops what was stored longer ago than `older_than` seconds, but for what is being delivered; `publisher` names one spool, otherwise it is all",
        reach: Reach::Change,
    },
    Route {
        path: "/api/v1/members",
        description: "With whom work is shared: members, plans, this agent's lease, and how etcd is",
        reach: Reach::Admin,
    },
];

/// What each publisher is doing.
pub(crate) const PUBLISHERS_PATH: &str = "/api/v1/publishers";

/// Where spools are drained.
pub(crate) const DRAIN_PATH: &str = "/api/v1/spool/drain";

/// Where what is old in spools is dropped.
pub(crate) const DROP_PATH: &str = "/api/v1/spool/drop";

/// Whether a path is one that changes something, by POST.
pub(crate) fn changes(path: &str) -> bool {
    let mut routes = ROUTES.iter().filter(|route| route.reach == Reach::Change);
    routes.any(|route| route.path == path)
}

/// The paths that a surface has.
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

/// What answers on a surface.
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
        .method_not_allowed_fallback(|| std::future::ready(answer::only_post()))
        .fallback(move || std::future::ready(answer::not_found(&surface)))
        .with_state(state)
}

async fn healthz(State(state): State<AdminState>) -> Response<Body> {
    let alive = state.is_alive();
    let status = if alive {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer::json(
        status,
        &json!({ "alive": alive, "since_tick": state.engine().scheduler().since_tick }),
    )
}

async fn readyz(State(state): State<AdminState>) -> Response<Body> {
    let readiness = state.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer::json(status, &readiness)
}

async fn metrics(State(state): State<AdminState>, headers: HeaderMap) -> Response<Body> {
    let accept: Vec<_> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let format = Format::accepted(&accept.join(","));
    match state.metrics().encode(format) {
        Ok(text) => answer::of(StatusCode::OK, format.content_type(), text),
        Err(_) => answer::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        ),
    }
}

async fn tasks(State(state): State<AdminState>) -> Response<Body> {
    answer::json(StatusCode::OK, &views::tasks(&state))
}

async fn cycles(
    State(state): State<AdminState>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Response<Body> {
    match Limit::of(query, CYCLES, MOST_CYCLES) {
        Ok(limit) => answer::json(StatusCode::OK, &views::cycles(&state, limit)),
        Err(text) => answer::error(StatusCode::BAD_REQUEST, &text),
    }
}

async fn resources(
    State(state): State<AdminState>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Response<Body> {
    match Limit::of(query, RESOURCES, MOST_RESOURCES) {
        Ok(limit) => answer::json(StatusCode::OK, &views::resources(&state, limit)),
        Err(text) => answer::error(StatusCode::BAD_REQUEST, &text),
    }
}

async fn publishers(State(state): State<AdminState>) -> Response<Body> {
    answer::json(StatusCode::OK, &views::publishers(&state))
}

async fn drain(
    State(state): State<AdminState>,
    query: Result<Query<Which>, QueryRejection>,
) -> Response<Body> {
    let which = match Which::of(query) {
        Ok(which) => which,
        Err(text) => return answer::error(StatusCode::BAD_REQUEST, &text),
    };
    match views::drain(&state, which.as_deref()) {
        Some(drains) => answer::json(StatusCode::OK, &drains),
        None => answer::error(StatusCode::NOT_FOUND, NO_SPOOL),
    }
}

async fn drop_old(
    State(state): State<AdminState>,
    query: Result<Query<DropOld>, QueryRejection>,
) -> Response<Body> {
    let (older_than, which) = match DropOld::of(query) {
        Ok(query) => query,
        Err(text) => return answer::error(StatusCode::BAD_REQUEST, &text),
    };
    match views::drop_old(&state, older_than, which.as_deref()).await {
        Some(drops) => answer::json(StatusCode::OK, &drops),
        None => answer::error(StatusCode::NOT_FOUND, NO_SPOOL),
    }
}

async fn members(State(state): State<AdminState>) -> Response<Body> {
    answer::json(StatusCode::OK, &members::members(&state))
}
