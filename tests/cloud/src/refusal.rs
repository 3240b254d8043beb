//! Errors in the formats of the services.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::service::Service;

/// An error of a service.
#[derive(Debug)]
pub(crate) struct Refusal {
    service: Service,
    status: u16,
    message: String,
}

impl Refusal {
    pub(crate) fn new(service: Service, status: u16, message: impl Into<String>) -> Self {
        Self {
            service,
            status,
            message: message.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self {
            service,
            status,
            message,
        } = self;
        let code = StatusCode::from_u16(status).unwrap();
        let title = code.canonical_reason().unwrap_or("Error");
        if status == 401 && service != Service::Keystone {
            // keystonemiddleware responds before the service sees the request.
            let body = json!({ "error": { "code": 401, "title": title,
                "message": "The request you have made requires authentication." } });
            let challenge = [("www-authenticate", "Keystone uri=\"http://127.0.0.1/identity\"")];
            return (code, challenge, Json(body)).into_response();
        }
        match service {
            Service::Keystone => {
                let body = json!({ "error": { "code": status, "message": message, "title": title } });
                (code, Json(body)).into_response()
            }
            Service::Nova | Service::Cinder | Service::Manila => {
                let name = match status {
                    400 => "badRequest",
                    403 => "forbidden",
                    404 => "itemNotFound",
                    405 => "badMethod",
                    413 | 429 => "overLimit",
                    503 => "serviceUnavailable",
                    _ => "computeFault",
                };
                (
                    code,
                    Json(json!({ name: { "code": status, "message": message } })),
                )
                    .into_response()
            }
            Service::Neutron => {
                let error = json!({ "type": "HTTPError", "message": message, "detail": "" });
                (code, Json(json!({ "NeutronError": error }))).into_response()
            }
            Service::Octavia => {
                let body = json!({ "faultcode": "Client", "faultstring": message, "debuginfo": null });
                (code, Json(body)).into_response()
            }
            Service::Designate => {
                let body =
                    json!({ "code": status, "type": "error", "message": message, "request_id": "req-0" });
                (code, Json(body)).into_response()
            }
            Service::Aodh => {
                let error = json!({ "faultcode": "Client", "faultstring": message, "debuginfo": null });
                (code, Json(json!({ "error_message": error }))).into_response()
            }
            Service::Rgw => {
                let body = json!({ "Code": message, "RequestId": "tx0", "HostId": "h" });
                (code, Json(body)).into_response()
            }
            Service::Barbican => {
                let body = json!({ "code": status, "title": title, "description": message });
                (code, Json(body)).into_response()
            }
            Service::Glance | Service::Swift => {
                let html = format!("<html><h1>{title}</h1><p>{message}</p></html>");
                (code, [("content-type", "text/html; charset=UTF-8")], html).into_response()
            }
        }
    }
}
