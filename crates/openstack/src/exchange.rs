//! One request to a service, sent within its budget, and again when the service is busy or away.

use std::time::Duration;

use nephoscope_plugin::CallOutcome;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;

use crate::breaker::Refusal;
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::events;
use crate::retry;

/// No document that is read whole is longer.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;

/// So much of an error's body is looked at for what it says.
const EXCERPT: usize = 8 * 1024;

/// So much of what an error says is shown.
const MESSAGE: usize = 200;

/// The header in which a service names the request in its own log.
const REQUEST_ID: &str = "x-openstack-request-id";

/// A request that is to be sent.
pub(crate) struct Exchange<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) method: Method,
    /// The path template, as it is counted.
    pub(crate) path: &'static str,
    /// How many agents share the work that this is a part of.
    pub(crate) members: u32,
    pub(crate) body: Option<String>,
}

/// What a service answered; its body is still to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) service: &'static str,
    /// Method and path template.
    what: String,
    timeout: Duration,
    response: Response,
}

/// Why an attempt has no answer that could be used.
enum Trouble {
    /// It may be sent again: the error, and the pause that the service asks for.
    Passing(ApiError, Option<Duration>),
    /// It is of no use to send it again.
    Lasting(ApiError),
    /// The circuit is open.
    Refused(Refusal),
}

impl Exchange<'_> {
    /// Sends the request, and again as often as the options say. An answer of any status but those of a busy
    /// service is given as it is.
    pub(crate) async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, ApiError> {
        let mut last: Option<ApiError> = None;
        let mut attempt = 0;
        loop {
            let trouble = match self.attempt(url, headers).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            let (error, asked) = match trouble {
                Trouble::Passing(error, asked) => (error, asked),
                Trouble::Lasting(error) => return Err(error),
                // The failure that opened the circuit may be our own: it says more.
                Trouble::Refused(refusal) => {
                    return Err(last.unwrap_or(ApiError::CircuitOpen {
                        service: self.endpoint.name,
                        reason: refusal.reason,
                        unreachable: refusal.unreachable,
                    }));
                }
            };
            if let Some(pause) = asked {
                self.endpoint.budget.hold(pause.min(retry::LONGEST_ASKED));
            }
            let too_long = asked.is_some_and(|pause| pause > retry::LONGEST_ASKED);
            if attempt >= self.endpoint.retries || too_long {
                return Err(error);
            }
            attempt += 1;
            events::retried(self.endpoint.name, &self.what(), &error.to_string(), attempt);
            last = Some(error);
            if asked.is_none() {
                tokio::time::sleep(retry::pause(attempt)).await;
            }
        }
    }

    async fn attempt(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, Trouble> {
        let service = self.endpoint.name;
        let unreachable = |source| ApiError::Unreachable { service, source };
        let client = self
            .endpoint
            .transport
            .client()
            .await
            .map_err(|error| Trouble::Lasting(unreachable(Box::new(error.without_url()))))?;
        let _place = self.endpoint.budget.admit(self.members).await;
        let pass = self.endpoint.pass().map_err(Trouble::Refused)?;
        let probe = pass.is_probe();
        let passing = |error, asked| {
            if probe {
                Trouble::Lasting(error)
            } else {
                Trouble::Passing(error, asked)
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
            let refusal = Refusal {
                reason: error.chain(),
                unreachable: error.status().is_none(),
            };
            self.endpoint.failed(pass, refusal);
        };
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if !error.is_timeout() || error.is_connect() => {
                self.count(CallOutcome::Unreachable);
                let error = unreachable(Box::new(error.without_url()));
                failed(pass, &error);
                return Err(passing(error, None));
            }
            Ok(Err(_)) | Err(_) => {
                self.count(CallOutcome::TimedOut);
                let error = timed_out(service, self.what(), limit);
                failed(pass, &error);
                // A service that is slow already is not asked twice.
                return Err(Trouble::Lasting(error));
            }
        };
        let status = response.status().as_u16();
        self.count(CallOutcome::Status(status));
        let asked = retry::asked_pause(response.headers());
        let answer = Answer {
            service,
            what: self.what(),
            timeout: limit,
            response,
        };
        if retry::is_busy(status) {
            let error = answer.error().await;
            if retry::is_unwell(status) {
                failed(pass, &error);
            } else {
                self.endpoint.succeeded(pass);
            }
            return Err(passing(error, asked));
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

    /// This answer, if its status says that it is what was asked for.
    pub(crate) async fn successful(self) -> Result<Self, ApiError> {
        // A document of versions comes with 300.
        if self.response.status().is_success() || self.status() == 300 {
            return Ok(self);
        }
        Err(self.error().await)
    }

    /// The error that the status stands for, with what the body says.
    pub(crate) async fn error(mut self) -> ApiError {
        let mut body = Vec::new();
        while body.len() < EXCERPT {
            match self.response.chunk().await {
                Ok(Some(part)) => body.extend_from_slice(&part),
                _ => break,
            }
        }
        let mut message = said(&body).map(|said| format!(": {said}")).unwrap_or_default();
        if let Some(id) = self.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()) {
            message.push_str(&format!(" ({})", shown(id)));
        }
        ApiError::Status {
            service: self.service,
            status: self.status(),
            what: self.what,
            message,
        }
    }

    /// The next part of the body.
    pub(crate) async fn part(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, ApiError> {
        match self.response.chunk().await {
            Ok(part) => Ok(part),
            Err(error) if error.is_timeout() => Err(timed_out(self.service, self.what.clone(), self.timeout)),
            Err(error) => Err(self.unreadable(chain(&error.without_url()))),
        }
    }

    /// The whole body.
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

/// The body of an answer as a JSON document.
pub(crate) async fn document<T: DeserializeOwned>(answer: Answer) -> Result<T, ApiError> {
    let (service, what) = (answer.service, answer.what.clone());
    let body = answer.bytes().await?;
    serde_json::from_slice(&body).map_err(|error| unreadable(service, &what, shape(&error)))
}

/// What is wrong with a document, without a word of it: it may hold a secret.
pub(crate) fn shape(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Syntax => "it is no JSON",
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

/// An error and its causes in one line.
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

/// The message in the body of an error: `message`, wherever services put it; else the text.
fn said(body: &[u8]) -> Option<String> {
    let text = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => message(&value, 3)?.to_owned(),
        // Pages for browsers say nothing that the status does not.
        Err(_) if body.trim_ascii_start().starts_with(b"<") => return None,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let text = shown(text.trim());
    (!text.is_empty()).then_some(text)
}

fn message(value: &serde_json::Value, depth: usize) -> Option<&str> {
    let map = value.as_object()?;
    let said = ["message", "faultstring", "detail", "description", "Code"]
        .iter()
        .find_map(|name| map.get(*name)?.as_str());
    said.or_else(|| {
        map.values()
            .filter(|_| depth > 0)
            .find_map(|inner| message(inner, depth - 1))
    })
}

/// Text of others, cut and without what does not belong on a line.
fn shown(text: &str) -> String {
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut shown: String = text.chars().take(MESSAGE).map(clean).collect();
    if text.chars().nth(MESSAGE).is_some() {
        shown.push_str(" ...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_error_is_found_where_services_put_it() {
        let said = |body: &str| said(body.as_bytes()).unwrap_or_else(|| "-".to_owned());
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
        ].map(said).join("\n"), @r"
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
        assert_eq!(said(&"x".repeat(300)).len(), MESSAGE + 4);
    }
}
