//! The ways in which a service may fail.

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
    /// Whose.
    pub service: Service,
    /// Only of requests whose path template ends so; empty is all.
    pub path: &'static str,
    /// How.
    pub kind: FaultKind,
    /// So many requests are hit; `None` is all.
    pub times: Option<u32>,
    /// So many requests pass before the first is hit.
    pub after: u32,
}

/// How a service fails.
#[derive(Debug, Clone)]
pub enum FaultKind {
    /// It answers with this status.
    Status(u16),
    /// It answers with this status, and asks to be left alone for so many seconds.
    Busy(u16, u64),
    /// It never answers.
    Hang,
    /// Its answers come in parts, with this pause between them.
    SlowBody(Duration),
    /// Its answers stop after the first half, and the connection ends.
    Truncated,
    /// Its answers have something in them that is no JSON.
    Malformed,
    /// The first entry of its lists is of the wrong type.
    WrongTypes,
    /// Its answers have no body.
    Empty,
    /// Its answers are a page for browsers.
    Html,
    /// It sends whoever asks to this place.
    Redirect(String),
}

impl Fault {
    /// A fault that hits all requests to a service.
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

    /// Hits only requests whose path template ends so.
    #[must_use]
    pub fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Hits so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets so many requests pass first.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Whether it hits a request for this; if so, it is one hit nearer its end.
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
    /// The answer in the place of the service's own, if the fault does not need that.
    pub(crate) async fn instead(&self, service: Service) -> Option<Response> {
        match self {
            Self::Status(status) => {
                Some(Refusal::new(service, *status, "It fails because it was told to.").into_response())
            }
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

    /// Spoils the service's answer.
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
                // The length that was promised stays in the headers.
                let half = body.slice(..body.len() / 2);
                let parts = [Ok(half), Err(std::io::Error::other("cut off"))];
                // Two polls, so that the first half is on its way before the connection ends.
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
