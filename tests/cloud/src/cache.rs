//! A cache of responses.
//!
//! In benchmarks a cloud shares the machine with its clients, and a large listing takes longer to create than to read.
//! Requests and tokens are still checked every time.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;

use crate::cloud::Shared;

/// The maximum total size of cached bodies in bytes.
const MOST: usize = 64 * 1024 * 1024;

/// The headers that determine a response, apart from the token.
const HEADERS: [&str; 3] = [
    "openstack-api-version",
    "x-openstack-nova-api-version",
    "x-auth-all-projects",
];

/// The input that determines a response, apart from the content of the cloud.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    uri: String,
    headers: [Option<Vec<u8>>; HEADERS.len()],
    project: Option<String>,
    admin: bool,
}

/// The cached responses since the last change of the cloud.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    answers: HashMap<Key, Answer>,
    bytes: usize,
    /// The number of changes.
    changes: u64,
}

#[derive(Debug, Clone)]
struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

impl Cache {
    /// Must be called after a change of the cloud.
    pub(crate) fn forget(&self) {
        let mut inside = self.0.lock();
        *inside = Inside {
            changes: inside.changes + 1,
            ..Inside::default()
        };
    }

    /// Returns the cached response to a request, and the number of changes.
    fn find(&self, key: &Key) -> (Option<Answer>, u64) {
        let inside = self.0.lock();
        (inside.answers.get(key).cloned(), inside.changes)
    }

    /// Stores a response, unless the cloud has changed since.
    fn keep(&self, key: Key, answer: Answer, changes: u64) {
        let mut inside = self.0.lock();
        if inside.changes == changes && inside.bytes + answer.body.len() <= MOST {
            inside.bytes += answer.body.len();
            inside.answers.insert(key, answer);
        }
    }
}

/// Returns the response to a request: from the cache, or from the service.
pub(crate) async fn answer(shared: &Shared, request: Request, next: Next) -> Response {
    let Some(key) = Key::of(shared, &request) else {
        return next.run(request).await;
    };
    let (found, changes) = shared.kept.find(&key);
    if let Some(answer) = found {
        return answer.into_response();
    }
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (head, body) = response.into_parts();
    let answer = Answer {
        headers: head.headers,
        body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
    };
    shared.kept.keep(key, answer.clone(), changes);
    answer.into_response()
}

impl Key {
    /// Returns `None` for responses that are not cached: those to requests without a valid token, or with another method than
    /// GET.
    fn of(shared: &Shared, request: &Request) -> Option<Self> {
        if request.method() != Method::GET {
            return None;
        }
        let text = |name: &str| request.headers().get(name).map(|value| value.as_bytes().to_vec());
        let caller = shared.caller(request.headers())?;
        Some(Self {
            uri: request.uri().to_string(),
            headers: HEADERS.map(text),
            project: caller.project,
            admin: caller.admin,
        })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.headers_mut() = self.headers;
        response
    }
}
