//! What goes back to a client.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use nephoscope_config::hide_userinfo;
use serde::Serialize;
use serde_json::{Value, json};

use crate::routes::{Surface, paths};

/// A body as JSON on one line. All its text passes the mask for the userinfo of URLs: the messages of plugins and
/// publishers quote what they were called with.
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
            "{\"error\":\"no answer\"}\n".into(),
        ),
    }
}

/// An error as JSON.
pub(crate) fn error(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &json!({ "error": text }))
}

/// GET of a path that changes something.
pub(crate) fn only_post() -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed here");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// A path that there is not: says which there are.
pub(crate) fn not_found(surface: &Surface) -> Response<Body> {
    json(
        StatusCode::NOT_FOUND,
        &json!({ "error": "there is nothing at this path", "routes": paths(surface) }),
    )
}

/// A method other than GET.
pub(crate) fn method_not_allowed() -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

/// Text of this type.
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
