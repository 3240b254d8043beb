//! HTTP responses.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};

/// A response: its status, and the start of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The content type of the body.
    pub content_type: Option<String>,
    /// The minimum pause before the next request, if the server requests one.
    pub retry_after: Option<Duration>,
    /// The start of the body, at most [`crate::MAX_RESPONSE_BYTES`].
    pub body: Vec<u8>,
    /// Whether the body was truncated.
    pub truncated: bool,
}

/// The meaning of a status for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusClass {
    /// 2xx: accepted. The body may report a partial rejection, which the publisher reads.
    Accepted,
    /// 408, 425, 429 and 5xx: the same request may be accepted later.
    Busy,
    /// 401, 403 and 407: the credentials are wrong or missing.
    Unauthorized,
    /// 413: the body is too large.
    TooLarge,
    /// 3xx: a redirect, which the client does not follow.
    Redirect,
    /// Any other status: the request is permanently rejected.
    Rejected,
}

impl HttpResponse {
    pub(crate) fn new(status: u16, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status,
            content_type: text(CONTENT_TYPE).map(str::to_owned),
            retry_after: text(RETRY_AFTER).and_then(|after| pause(after, text(DATE))),
            body: Vec::new(),
            truncated: false,
        }
    }

    /// The meaning of the status.
    pub fn class(&self) -> StatusClass {
        match self.status {
            200..=299 => StatusClass::Accepted,
            300..=399 => StatusClass::Redirect,
            401 | 403 | 407 => StatusClass::Unauthorized,
            408 | 425 | 429 | 500..=599 => StatusClass::Busy,
            413 => StatusClass::TooLarge,
            _ => StatusClass::Rejected,
        }
    }

    /// The status and the first line of the body, for logs and errors.
    pub fn summary(&self) -> String {
        /// Longer lines are truncated.
        const LINE: usize = 200;
        let text = String::from_utf8_lossy(&self.body);
        let line = text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let line: String = line
            .trim()
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .take(LINE)
            .collect();
        if line.is_empty() {
            return format!("HTTP status {}", self.status);
        }
        format!("HTTP status {}: {line}", self.status)
    }
}

/// Parses `Retry-After`: seconds or a time. The time is relative to the response's own date, since clocks may differ.
fn pause(after: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = after.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(after).ok()?;
    let now = httpdate::parse_http_date(date?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_given_in_seconds_or_as_a_time() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(pause("120", None), Some(Duration::from_secs(120)));
        assert_eq!(
            pause("Sun, 06 Nov 1994 08:50:07 GMT", date),
            Some(Duration::from_secs(30))
        );
        assert_eq!(pause("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(pause("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(pause("-1", date), None);
        assert_eq!(pause("soon", date), None);
    }

    #[test]
    fn each_status_has_its_class() {
        let class = |status| HttpResponse::new(status, &HeaderMap::new()).class();
        for (statuses, expected) in [
            (&[200, 202, 204, 207][..], StatusClass::Accepted),
            (&[301, 302, 307, 308], StatusClass::Redirect),
            (&[401, 403, 407], StatusClass::Unauthorized),
            (&[408, 425, 429, 500, 502, 503, 504, 599], StatusClass::Busy),
            (&[413], StatusClass::TooLarge),
            (&[100, 400, 404, 405, 409, 415, 422, 600], StatusClass::Rejected),
        ] {
            for status in statuses {
                assert_eq!(class(*status), expected, "{status}");
            }
        }
    }

    #[test]
    fn a_summary_is_one_short_line() {
        let mut response = HttpResponse::new(400, &HeaderMap::new());
        assert_eq!(response.summary(), "HTTP status 400");
        response.body = b"\n  out of \x1border\nmore".to_vec();
        assert_eq!(response.summary(), "HTTP status 400: out of  order");
        response.body = vec![b'x'; 5000];
        assert_eq!(response.summary().len(), "HTTP status 400: ".len() + 200);
    }
}
