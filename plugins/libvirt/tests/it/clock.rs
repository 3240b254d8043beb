//! Waiting for what has to happen.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether it has happened.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until something has happened.
pub(crate) async fn until(what: &str, mut has_happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !has_happened() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        sleep(LOOK).await;
    }
}
