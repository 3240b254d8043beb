//! What the other side answered.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};

/// An answer: its status, and the begin of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content type of the body, as it was sent.
    pub content_type: Option<String>,
    /// At least this pause before the next request, if the other side asks for one.
    pub retry_after: Option<Duration>,
    /// The body, at most [`crate::MAX_ANSWER`] bytes of it.
    pub body: Vec<u8>,
    /// Whether the body was longer.
    pub truncated: bool,
}

/// What a status means for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// 2xx: it was taken. What the body says of a part of it is the publisher's to read.
    Accepted,
    /// 408, 425, 429 and 5xx: the same request may be taken later.
    Busy,
    /// 401, 403 and 407: the credentials are wrong or missing. The same request is taken when they are right.
    Unauthorized,
    /// 413: the body is too large.
    TooLarge,
    /// 3xx: it leads elsewhere. The client follows no redirect.
    Redirect,
    /// Any other status: the request will never be taken.
    Rejected,
}

impl Answer {
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

    /// What the status means.
    pub fn verdict(&self) -> Verdict {
        match self.status {
            200..=299 => Verdict::Accepted,
            300..=399 => Verdict::Redirect,
            401 | 403 | 407 => Verdict::Unauthorized,
            408 | 425 | 429 | 500..=599 => Verdict::Busy,
            413 => Verdict::TooLarge,
            _ => Verdict::Rejected,
        }
    }

    /// The status and the first line of the body, for a log or an error.
    pub fn summary(&self) -> String {
        /// Longer lines are cut.
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

/// `Retry-After`: seconds, or a time. The time is compared with the answer's own date, since clocks may differ.
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
    fn a_pause_is_in_seconds_or_until_a_time() {
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
    fn each_status_has_its_meaning() {
        let verdict = |status| Answer::new(status, &HeaderMap::new()).verdict();
        for (statuses, expected) in [
            (&[200, 202, 204, 207][..], Verdict::Accepted),
            (&[301, 302, 307, 308], Verdict::Redirect),
            (&[401, 403, 407], Verdict::Unauthorized),
            (&[408, 425, 429, 500, 502, 503, 504, 599], Verdict::Busy),
            (&[413], Verdict::TooLarge),
            (&[100, 400, 404, 405, 409, 415, 422, 600], Verdict::Rejected),
        ] {
            for status in statuses {
                assert_eq!(verdict(*status), expected, "{status}");
            }
        }
    }

    #[test]
    fn a_summary_is_one_short_line() {
        let mut answer = Answer::new(400, &HeaderMap::new());
        assert_eq!(answer.summary(), "HTTP status 400");
        answer.body = b"\n  out of \x1border\nmore".to_vec();
        assert_eq!(answer.summary(), "HTTP status 400: out of  order");
        answer.body = vec![b'x'; 5000];
        assert_eq!(answer.summary().len(), "HTTP status 400: ".len() + 200);
    }
}
