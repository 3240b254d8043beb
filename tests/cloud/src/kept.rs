//! Answers that are the same each time: made once, sent often.
//!
//! A cloud under measurement shares a machine with those that ask it, and a large listing takes more time to make than
//! to read. What is asked, and by whom, is checked each time all the same.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;

use crate::cloud::Shared;

/// No more bytes of bodies are kept.
const MOST: usize = 64 * 1024 * 1024;

/// The headers that answers depend on, beside the token.
const HEADERS: [&str; 3] = [
    "openstack-api-version",
    "x-openstack-nova-api-version",
    "x-auth-all-projects",
];

/// What an answer depends on, beside what is in the cloud.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Question {
    uri: String,
    headers: [Option<Vec<u8>>; HEADERS.len()],
    project: Option<String>,
    admin: bool,
}

/// The answers that are kept, of a cloud in which nothing has changed since.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    answers: HashMap<Question, Answer>,
    bytes: usize,
    /// How often something has changed.
    changes: u64,
}

#[derive(Debug, Clone)]
struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

impl Kept {
    /// Something in the cloud has changed.
    pub(crate) fn forget(&self) {
        let mut inside = self.0.lock();
        *inside = Inside {
            changes: inside.changes + 1,
            ..Inside::default()
        };
    }

    /// The answer to a question if there is one, and how often something has changed.
    fn find(&self, question: &Question) -> (Option<Answer>, u64) {
        let inside = self.0.lock();
        (inside.answers.get(question).cloned(), inside.changes)
    }

    /// Keeps an answer, unless something has changed since.
    fn keep(&self, question: Question, answer: Answer, changes: u64) {
        let mut inside = self.0.lock();
        if inside.changes == changes && inside.bytes + answer.body.len() <= MOST {
            inside.bytes += answer.body.len();
            inside.answers.insert(question, answer);
        }
    }
}

/// The answer to a request: the one that is kept, or the service's own.
pub(crate) async fn answer(shared: &Shared, request: Request, next: Next) -> Response {
    let Some(question) = Question::of(shared, &request) else {
        return next.run(request).await;
    };
    let (found, changes) = shared.kept.find(&question);
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
    shared.kept.keep(question, answer.clone(), changes);
    answer.into_response()
}

impl Question {
    /// `None` for what is not answered the same way each time: requests without a valid token, or that are no GET.
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
