//! The clock of the cloud: times in tokens and signatures, and delays of responses.

use std::time::{Duration, Instant};

/// Returns the wall clock.
#[allow(
    clippy::disallowed_methods,
    reason = "the cloud simulates services, whose responses contain the wall clock"
)]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Returns a moment in the future, by a clock that no test pauses.
#[allow(
    clippy::disallowed_methods,
    reason = "the cloud simulates services, whose responses take real time"
)]
pub(crate) fn after(time: Duration) -> Instant {
    Instant::now() + time
}

/// Formats a time as Keystone does.
pub(crate) fn text(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
