//! Barbican: the payload of a secret.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::cloud::{Caller, Shared};
use crate::refusal::Refusal;
use crate::service::Service;

/// The only secret of the cloud.
const ID: &str = "5ec2e700-0000-4000-8000-000000000001";

/// Its payload.
const PAYLOAD: &[u8] = b"canary-payload";

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/key-manager/v1/secrets/{id}/payload", get(payload))
}

async fn payload(
    State(_): State<Shared>,
    _: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    if id != ID {
        let message = "Secret not found. Sorry but your secret is in another castle.";
        return Err(Refusal::new(Service::Barbican, 404, message));
    }
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("*/*");
    if !["*/*", "text/plain", "application/octet-stream"].contains(&accept) {
        return Err(Refusal::new(
            Service::Barbican,
            406,
            "Secret payload retrieval issue seen - Not Acceptable.",
        ));
    }
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], PAYLOAD).into_response())
}
