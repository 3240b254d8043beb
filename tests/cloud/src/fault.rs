//! The faults of a service.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use crate::refusal::Refusal;
use crate::service::Service;

/// A fault of a service.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The service.
    pub service: Service,
    /// Only requests whose path template ends with this; empty matches all.
    pub path: &'static str,
    /// The kind.
    pub kind: FaultKind,
    /// The number of affected requests; `None` means all.
    pub times: Option<u32>,
    /// The number of requests that pass before the first affected one.
    pub after: u32,
}

/// The kind of a fault.
#[derive(Debug, Clone)]
pub enum FaultKind {
    /// It responds with this status.
    Status(u16),
    /// It responds with this status, and with a `Retry-After` of this many seconds.
    Busy(u16, u64),
    /// It never responds.
    Hang,
    /// Its responses arrive in parts, with this pause between them.
    SlowBody(Duration),
    /// Its responses end after the first half, and the connection is closed.
    Truncated,
    /// Its responses contain invalid JSON.
    Malformed,
    /// The first entry of its lists has the wrong type.
    WrongTypes,
    /// Its responses have no body.
    Empty,
    /// Its responses are HTML pages.
    Html,
    /// It redirects to this URL.
    Redirect(String),
}

impl Fault {
    /// Returns a fault of all requests to a service.
    #[must_use]
    pub fn of(service: Service, kind: FaultKind) -> Self {
        Self {
            service,
            path: "",
            kind,
            times: None,
            after: 0,
        }
    }

    /// Limits it to requests whose path template ends with `path`.
    #[must_use]
    pub fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Limits it to this many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets this many requests pass first.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Returns whether it affects a request, and counts it.
    pub(crate) fn hits(&mut self, service: Service, template: &str) -> bool {
        if self.service != service || !template.ends_with(self.path) || self.times == Some(0) {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

impl FaultKind {
    /// Returns the response that replaces the service's, for faults that do not need the latter.
    pub(crate) async fn instead(&self, service: Service) -> Option<Response> {
        match self {
            Self::Status(status) => Some(Refusal::new(service, *status, "Injected fault.").into_response()),
            Self::Busy(status, seconds) => {
                let mut response = Refusal::new(service, *status, "Too busy.").into_response();
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
                Some(response)
            }
            Self::Hang => std::future::pending().await,
            Self::Html => Some((StatusCode::OK, "<html>maintenance</html>").into_response()),
            Self::Redirect(to) => Some((StatusCode::FOUND, [(header::LOCATION, to.clone())]).into_response()),
            Self::SlowBody(_) | Self::Truncated | Self::Malformed | Self::WrongTypes | Self::Empty => None,
        }
    }

    /// Modifies the service's response.
    pub(crate) async fn spoil(&self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = match self {
            Self::SlowBody(pause) => {
                let pause = *pause;
                let parts: Vec<Bytes> = body
                    .chunks(body.len().div_ceil(4).max(1))
                    .map(Bytes::copy_from_slice)
                    .collect();
                let parts = futures::stream::iter(parts).then(move |part| async move {
                    tokio::time::sleep(pause).await;
                    Ok::<_, std::io::Error>(part)
                });
                Body::from_stream(parts)
            }
            Self::Truncated => {
                // The headers keep the full length.
                let half = body.slice(..body.len() / 2);
                let parts = [Ok(half), Err(std::io::Error::other("cut off"))];
                // Two polls, so that the first half is sent before the connection is closed.
                let parts = futures::stream::iter(parts).then(|part| async move {
                    tokio::task::yield_now().await;
                    part
                });
                head.headers
                    .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
                Body::from_stream(parts)
            }
            Self::Malformed => {
                let text = String::from_utf8_lossy(&body).replacen("\":", "\";", 2);
                head.headers.remove(header::CONTENT_LENGTH);
                Body::from(text)
            }
            Self::Empty => {
                head.headers.remove(header::CONTENT_LENGTH);
                Body::empty()
            }
            Self::WrongTypes => {
                let text = String::from_utf8_lossy(&body).replacen("[{\"", "[[7],{\"", 1);
                head.headers.remove(header::CONTENT_LENGTH);
                Body::from(text)
            }
            _ => Body::from(body),
        };
        Response::from_parts(head, body)
    }
}
