//! When a request is retried.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The pause before the first retry; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause that this module chooses.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause that is waited for within a request. If a service requests a longer one, the request fails, and
/// the endpoint is held for this time.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Whether this status means that the service is busy, and the request may be retried.
pub(crate) fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// Whether this status is a failure of the service. (429 is the answer of a healthy service.)
pub(crate) fn is_server_failure(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Returns the pause before the `attempt`-th retry (from 1). It doubles with each retry, and is jittered so that agents
/// that failed at the same time do not retry at the same time.
pub(crate) fn pause(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    jittered(FIRST_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE))
}

/// Returns a random duration between half of the pause and the pause.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    // The hash differs with every call; it needs no cryptographic quality.
    let share = u32::from(RandomState::new().hash_one(pause) as u16);
    half + half.saturating_mul(share) / u32::from(u16::MAX)
}

/// Returns the pause of `Retry-After`: seconds, or a time, which is compared with the service's own clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text: &str| {
        jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text)
            .ok()
    };
    let (then, now) = (time(text)?, time(headers.get(DATE)?.to_str().ok()?)?);
    Some(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn pauses_double_within_bounds() {
        for attempt in 1..100 {
            let whole = FIRST_PAUSE
                .saturating_mul(1 << (attempt - 1).min(16))
                .min(MAX_PAUSE);
            let pause = pause(attempt);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
        }
    }

    #[test]
    fn retry_after_is_in_seconds_or_a_time() {
        let parsed = |after: &'static str, date: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_static(date));
            }
            retry_after(&headers)
        };
        let date = Some("Wed, 21 Oct 2026 07:27:30 GMT");
        assert_eq!(parsed("30", None), Some(Duration::from_secs(30)));
        assert_eq!(
            parsed("Wed, 21 Oct 2026 07:28:00 GMT", date),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            parsed("Wed, 21 Oct 2026 07:00:00 GMT", date),
            Some(Duration::ZERO)
        );
        assert_eq!(parsed("Wed, 21 Oct 2026 07:28:00 GMT", None), None);
        assert_eq!(parsed("soon", date), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
