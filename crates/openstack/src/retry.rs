//! When a request is sent again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The pause before the first retry; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(500);

/// No pause of our own is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// A service that asks for a longer pause is not waited for within a request: it fails, and the endpoint is
/// held for this time.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// Whether an answer of this status says that the service is busy, and the request may be sent again.
pub(crate) fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// Whether an answer of this status says that the service is not well. (429 is what a healthy service says.)
pub(crate) fn is_unwell(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// The pause before the `attempt`-th retry (from 1): between the half and the whole of the time that doubles
/// with each, so that agents that failed together do not come back together.
pub(crate) fn pause(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    jittered(FIRST.saturating_mul(1 << doublings).min(LONGEST))
}

/// Between the half and the whole of a pause.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    // Differs with every call; nothing secret hangs on it.
    let share = u32::from(RandomState::new().hash_one(pause) as u16);
    half + half.saturating_mul(share) / u32::from(u16::MAX)
}

/// The pause that `Retry-After` asks for: seconds, or a time, which is compared with the service's own clock.
pub(crate) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
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
            let whole = FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST);
            let pause = pause(attempt);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
        }
    }

    #[test]
    fn a_pause_may_be_asked_for_in_seconds_or_as_a_time() {
        let asked = |after: &'static str, date: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_static(date));
            }
            asked_pause(&headers)
        };
        let date = Some("Wed, 21 Oct 2026 07:27:30 GMT");
        assert_eq!(asked("30", None), Some(Duration::from_secs(30)));
        assert_eq!(
            asked("Wed, 21 Oct 2026 07:28:00 GMT", date),
            Some(Duration::from_secs(30))
        );
        assert_eq!(asked("Wed, 21 Oct 2026 07:00:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(asked("Wed, 21 Oct 2026 07:28:00 GMT", None), None);
        assert_eq!(asked("soon", date), None);
        assert_eq!(asked_pause(&HeaderMap::new()), None);
    }
}
