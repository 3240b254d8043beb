//! The paths and what stands behind them.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::get;
use serde_json::json;

use crate::admin::query::Limit;
use crate::admin::state::AdminState;
use crate::admin::{answer, members, views};
use crate::metrics::Format;

/// How many cycles are shown unless the request says otherwise.
const CYCLES: usize = 20;

/// How many cycles may be asked for: the engine keeps no more.
const MOST_CYCLES: usize = 200;

/// How many resources of a pollster are shown unless the request says otherwise; all are counted.
const RESOURCES: usize = 100;

/// How many resources of a pollster may be asked for: the engine remembers no more.
const MOST_RESOURCES: usize = 10_000;

/// What a listener offers, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Surface {
    /// Everything. On TCP, only to requests under these host names, `localhost`, a loopback address, or the address
    /// that the client connected to.
    Full {
        /// Names of this host.
        host_names: Vec<String>,
    },
    /// `/healthz`, `/readyz` and `/metrics` alone, under any host name (`agent.metrics`).
    MetricsOnly,
}

/// A path of the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// The path.
    pub(crate) path: &'static str,
    /// What it answers.
    pub(crate) description: &'static str,
    /// Whether a listener for metrics alone has it.
    pub(crate) with_metrics: bool,
}

/// All paths.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        path: "/healthz",
        description: "Whether the scheduler is alive: 200, or 503 when it did not wake up for 5 s",
        with_metrics: true,
    },
    Route {
        path: "/readyz",
        description: "Whether the agent does its work, with reasons: 503 only when due resources cannot be polled or nothing can be published",
        with_metrics: true,
    },
    Route {
        path: "/metrics",
        description: "Metrics, as Prometheus text 0.0.4 or as OpenMetrics",
        with_metrics: true,
    },
    Route {
        path: "/api/v1/tasks",
        description: "What is polled on which schedule, and how the schedules fare",
        with_metrics: false,
    },
    Route {
        path: "/api/v1/cycles",
        description: "The last cycles, newest first (`limit`: 1 to 200, default 20)",
        with_metrics: false,
    },
    Route {
        path: "/api/v1/resources",
        description: "Resources that are set aside and why, pollsters that hang, listings and pollsters with their counts (`limit`: resources shown of each pollster, 1 to 10000, default 100)",
        with_metrics: false,
    },
    Route {
        path: "/api/v1/publishers",
        description: "What each publisher is doing, its queue and its counts",
        with_metrics: false,
    },
    Route {
        path: "/api/v1/members",
        description: "With whom work is shared: members, plans, this agent's lease, and how etcd is",
        with_metrics: false,
    },
];

/// The paths that a surface has.
pub(crate) fn paths(surface: &Surface) -> Vec<&'static str> {
    let all = matches!(surface, Surface::Full { .. });
    ROUTES
        .iter()
        .filter(|route| all || route.with_metrics)
        .map(|route| route.path)
        .collect()
}

/// What answers on a surface.
pub(crate) fn router(surface: Surface, state: AdminState) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    if matches!(surface, Surface::Full { .. }) {
        router = router
            .route("/api/v1/tasks", get(tasks))
            .route("/api/v1/cycles", get(cycles))
            .route("/api/v1/resources", get(resources))
            .route("/api/v1/publishers", get(publishers))
            .route("/api/v1/members", get(members));
    }
    router
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

async fn members(State(state): State<AdminState>) -> Response<Body> {
    answer::json(StatusCode::OK, &members::members(&state))
}
