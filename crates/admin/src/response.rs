//! HTTP responses of the admin API.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use nephoscope_config::hide_userinfo;
use serde::Serialize;
use serde_json::{Value, json};

use crate::routes::{Surface, paths};

/// Returns a JSON response on one line. The userinfo of URLs is masked in all texts, because messages of plugins and
/// publishers quote URLs.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    match serde_json::to_value(body) {
        Ok(mut value) => {
            hide(&mut value);
            let mut text = value.to_string();
            text.push('\n');
            of(status, "application/json", text)
        }
        Err(_) => of(
            StatusCode::INTERNAL_SERVER_ERROR,
            "application/json",
            "{\"error\":\"the response cannot be serialized\"}\n".into(),
        ),
    }
}

/// Returns an error as JSON.
pub(crate) fn error(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &json!({ "error": text }))
}

/// Returns the response to GET for a path that only has POST.
pub(crate) fn post_required() -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed here");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// Returns the response for an unknown path. It lists the known paths.
pub(crate) fn not_found(surface: &Surface) -> Response<Body> {
    json(
        StatusCode::NOT_FOUND,
        &json!({ "error": "no such path", "routes": paths(surface) }),
    )
}

/// Returns the response for a method other than GET.
pub(crate) fn get_required() -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

/// Returns a response with this content type.
pub(crate) fn of(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers: [(HeaderName, &'static str); 3] = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn hide(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.contains("://") {
                *text = hide_userinfo(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(fields) => {
            if fields.keys().any(|key| key.contains("://")) {
                let shown = std::mem::take(fields)
                    .into_iter()
                    .map(|(key, value)| (hide_userinfo(&key), value));
                *fields = shown.collect();
            }
            fields.values_mut().for_each(hide);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo_is_hidden_at_any_depth_and_in_keys() {
        let mut value = json!({ "a": ["x://u:p@h/"], "x://u:p@h/": { "b": "to x://u:p@h/", "c": 1 } });
        hide(&mut value);
        assert_eq!(
            value,
            json!({ "a": ["x://***@h/"], "x://***@h/": { "b": "to x://***@h/", "c": 1 } })
        );
    }
}
