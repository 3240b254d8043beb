//! The age of an answer, by the start times of cycles.

use std::time::Duration;

use nephoscope_model::Timestamp;

/// Returns how long ago `then` is; `None` if it is in the future, for example after the wall clock was set back.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> Option<Duration> {
    let micros = now.as_micros().checked_sub(then.as_micros())?;
    u64::try_from(micros).ok().map(Duration::from_micros)
}

/// Whether `then` is older than `limit`, or its age is unknown.
pub(crate) fn is_old(now: Timestamp, then: Option<Timestamp>, limit: Duration) -> bool {
    then.and_then(|then| age(now, then))
        .is_none_or(|age| age >= limit)
}

/// Returns the time minus a duration.
pub(crate) fn before(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.as_micros().saturating_sub(by))
}
