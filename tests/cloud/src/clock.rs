//! The time of the cloud: what tokens and signatures carry, and when answers are due.

use std::time::{Duration, Instant};

/// What the wall clock says.
#[allow(
    clippy::disallowed_methods,
    reason = "the cloud is a service of its own, and services show the wall clock in their answers"
)]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A moment that is so far away, by a clock that no test pauses.
#[allow(
    clippy::disallowed_methods,
    reason = "the cloud is a service of its own, whose answers take their time"
)]
pub(crate) fn after(time: Duration) -> Instant {
    Instant::now() + time
}

/// A time as Keystone writes it.
pub(crate) fn text(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
