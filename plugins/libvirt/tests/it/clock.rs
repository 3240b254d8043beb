//! Waiting for conditions.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The time limit of each condition.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The interval of checks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut has_happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIME_LIMIT;
    while !has_happened() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        sleep(INTERVAL).await;
    }
}
