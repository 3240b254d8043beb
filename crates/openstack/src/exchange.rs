//! One request to a service within its budget, with retries when the service is busy or unreachable.

use std::time::Duration;

use nephoscope_plugin::CallOutcome;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;

use crate::breaker::LastFailure;
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::events;
use crate::retry;

/// The longest document that is read as a whole.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;

/// How much of an error's body is read for its message.
const EXCERPT: usize = 8 * 1024;

/// The longest error message that is shown, in characters.
const MESSAGE: usize = 200;

/// The header with the request id, which the service also logs.
const REQUEST_ID: &str = "x-openstack-request-id";

/// A request to send.
pub(crate) struct Exchange<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) method: Method,
    /// The path template, the label of its counters.
    pub(crate) path: &'static str,
    /// How many agents share the work of which this request is a part.
    pub(crate) members: u32,
    pub(crate) body: Option<String>,
}

/// A service's answer; its body is not yet read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) service: &'static str,
    /// Method and path template.
    what: String,
    timeout: Duration,
    response: Response,
}

/// Why an attempt has no usable answer.
enum AttemptError {
    /// A retry may succeed: the error, and the pause that the service requested.
    Retryable(ApiError, Option<Duration>),
    /// A retry is useless.
    Permanent(ApiError),
    /// The circuit is open.
    CircuitOpen(LastFailure),
}

impl Exchange<'_> {
    /// Sends the request, with retries as often as the options allow. Returns every answer except those with the status
    /// of a busy service.
    pub(crate) async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, ApiError> {
        let mut last: Option<ApiError> = None;
        let mut attempt = 0;
        loop {
            let failure = match self.attempt(url, headers).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let (error, retry_after) = match failure {
                AttemptError::Retryable(error, retry_after) => (error, retry_after),
                AttemptError::Permanent(error) => return Err(error),
                // The failure of this request's earlier attempt may have opened the circuit: it explains more.
                AttemptError::CircuitOpen(last_failure) => {
                    return Err(last.unwrap_or(ApiError::CircuitOpen {
                        service: self.endpoint.name,
                        reason: last_failure.reason,
                        unreachable: last_failure.unreachable,
                    }));
                }
            };
            if let Some(pause) = retry_after {
                self.endpoint.budget.hold(pause.min(retry::MAX_RETRY_AFTER));
            }
            let too_long = retry_after.is_some_and(|pause| pause > retry::MAX_RETRY_AFTER);
            if attempt >= self.endpoint.retries || too_long {
                return Err(error);
            }
            attempt += 1;
            events::retried(self.endpoint.name, &self.what(), &error.to_string(), attempt);
            last = Some(error);
            if retry_after.is_none() {
                tokio::time::sleep(retry::pause(attempt)).await;
            }
        }
    }

    async fn attempt(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, AttemptError> {
        let service = self.endpoint.name;
        let unreachable = |source| ApiError::Unreachable { service, source };
        let client = self
            .endpoint
            .transport
            .client()
            .await
            .map_err(|error| AttemptError::Permanent(unreachable(Box::new(error.without_url()))))?;
        let _permit = self.endpoint.budget.admit(self.members).await;
        let pass = self.endpoint.pass().map_err(AttemptError::CircuitOpen)?;
        let probe = pass.is_probe();
        let retryable = |error, retry_after| {
            if probe {
                AttemptError::Permanent(error)
            } else {
                AttemptError::Retryable(error, retry_after)
            }
        };
        let mut request = client
            .request(self.method.clone(), url.clone())
            .headers(headers.clone());
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let limit = self.endpoint.timeout;
        let sent = tokio::time::timeout(limit, request.send()).await;
        let failed = |pass, error: &ApiError| {
            let last_failure = LastFailure {
                reason: error.chain(),
                unreachable: error.status().is_none(),
            };
            self.endpoint.failed(pass, last_failure);
        };
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if !error.is_timeout() || error.is_connect() => {
                self.count(CallOutcome::Unreachable);
                let error = unreachable(Box::new(error.without_url()));
                failed(pass, &error);
                return Err(retryable(error, None));
            }
            Ok(Err(_)) | Err(_) => {
                self.count(CallOutcome::TimedOut);
                let error = timed_out(service, self.what(), limit);
                failed(pass, &error);
                // A slow service gets no retry.
                return Err(AttemptError::Permanent(error));
            }
        };
        let status = response.status().as_u16();
        self.count(CallOutcome::Status(status));
        let retry_after = retry::retry_after(response.headers());
        let answer = Answer {
            service,
            what: self.what(),
            timeout: limit,
            response,
        };
        if retry::is_busy(status) {
            let error = answer.error().await;
            if retry::is_server_failure(status) {
                failed(pass, &error);
            } else {
                self.endpoint.succeeded(pass);
            }
            return Err(retryable(error, retry_after));
        }
        self.endpoint.succeeded(pass);
        Ok(answer)
    }

    fn count(&self, outcome: CallOutcome) {
        let method = match self.method {
            Method::POST => "POST",
            Method::HEAD => "HEAD",
            _ => "GET",
        };
        self.endpoint.count(method, self.path, outcome);
    }

    fn what(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns this answer if its status is a success.
    pub(crate) async fn successful(self) -> Result<Self, ApiError> {
        // Version documents have the status 300.
        if self.response.status().is_success() || self.status() == 300 {
            return Ok(self);
        }
        Err(self.error().await)
    }

    /// Converts the answer to an error, with the message of its body.
    pub(crate) async fn error(mut self) -> ApiError {
        let mut body = Vec::new();
        while body.len() < EXCERPT {
            match self.response.chunk().await {
                Ok(Some(part)) => body.extend_from_slice(&part),
                _ => break,
            }
        }
        let mut message = error_message(&body)
            .map(|message| format!(": {message}"))
            .unwrap_or_default();
        if let Some(id) = self.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()) {
            message.push_str(&format!(" ({})", sanitized(id)));
        }
        ApiError::Status {
            service: self.service,
            status: self.status(),
            what: self.what,
            message,
        }
    }

    /// Reads the next part of the body.
    pub(crate) async fn part(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, ApiError> {
        match self.response.chunk().await {
            Ok(part) => Ok(part),
            Err(error) if error.is_timeout() => Err(timed_out(self.service, self.what.clone(), self.timeout)),
            Err(error) => Err(self.unreadable(chain(&error.without_url()))),
        }
    }

    /// Reads the whole body.
    pub(crate) async fn bytes(mut self) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        while let Some(part) = self.part().await? {
            body.extend_from_slice(part.as_ref());
            if body.len() > MAX_DOCUMENT {
                return Err(self.unreadable(format!("it is longer than {MAX_DOCUMENT} bytes")));
            }
        }
        Ok(body)
    }

    pub(crate) fn unreadable(&self, reason: String) -> ApiError {
        unreadable(self.service, &self.what, reason)
    }
}

/// Parses the body of an answer as a JSON document.
pub(crate) async fn document<T: DeserializeOwned>(answer: Answer) -> Result<T, ApiError> {
    let (service, what) = (answer.service, answer.what.clone());
    let body = answer.bytes().await?;
    serde_json::from_slice(&body).map_err(|error| unreadable(service, &what, shape(&error)))
}

/// Describes what is wrong with a document, without its text, which may contain a secret.
pub(crate) fn shape(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Syntax => "it is not JSON",
        Category::Eof => "it ends before it is complete",
        Category::Data => "it does not have the expected form",
        Category::Io => "it cannot be read",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

fn unreadable(service: &'static str, what: &str, reason: String) -> ApiError {
    ApiError::Answer {
        service,
        what: what.to_owned(),
        reason,
    }
}

fn timed_out(service: &'static str, what: String, limit: Duration) -> ApiError {
    ApiError::TimedOut {
        service,
        what,
        seconds: limit.as_secs(),
    }
}

/// Returns an error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Returns the message in the body of an error: a member such as `message` at any level; otherwise the text.
fn error_message(body: &[u8]) -> Option<String> {
    let text = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => find_message(&value, 3)?.to_owned(),
        // HTML pages add nothing to the status.
        Err(_) if body.trim_ascii_start().starts_with(b"<") => return None,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let text = sanitized(text.trim());
    (!text.is_empty()).then_some(text)
}

fn find_message(value: &serde_json::Value, depth: usize) -> Option<&str> {
    let map = value.as_object()?;
    let own = ["message", "faultstring", "detail", "description", "Code"]
        .iter()
        .find_map(|name| map.get(*name)?.as_str());
    own.or_else(|| {
        map.values()
            .filter(|_| depth > 0)
            .find_map(|inner| find_message(inner, depth - 1))
    })
}

/// Text from a service, truncated and without control characters.
fn sanitized(text: &str) -> String {
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut clean_text: String = text.chars().take(MESSAGE).map(clean).collect();
    if text.chars().nth(MESSAGE).is_some() {
        clean_text.push_str(" ...");
    }
    clean_text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_error_is_found_in_each_service_s_format() {
        let read = |body: &str| error_message(body.as_bytes()).unwrap_or_else(|| "-".to_owned());
        insta::assert_snapshot!([
            r#"{"error": {"code": 401, "message": "The request needs authentication.", "title": "Unauthorized"}}"#,
            r#"{"itemNotFound": {"message": "No such volume", "code": 404}}"#,
            r#"{"NeutronError": {"type": "X", "message": "no\nsuch\u0007 thing", "detail": ""}}"#,
            r#"{"faultcode": "Client", "faultstring": "Not here", "debuginfo": null}"#,
            "<html>502 Bad Gateway</html>",
            "rate limit exceeded\n",
            r#"{"Code": "NoSuchUser", "RequestId": "tx0"}"#,
            "[1]",
            "",
        ].map(read).join("\n"), @r"
        The request needs authentication.
        No such volume
        no such  thing
        Not here
        -
        rate limit exceeded
        NoSuchUser
        -
        -
        ");
        assert_eq!(read(&"x".repeat(300)).len(), MESSAGE + 4);
    }
}
