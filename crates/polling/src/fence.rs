//! The fence before the notifier: whether what was polled of shared units may still go.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::protocol::LONGEST_REQUEST_TIMEOUT;
use nephoscope_coordination::{Coordinator, Unit, WorkId};
use tokio::time::{Instant, timeout};

use crate::clock::Clock;

/// How long a coordinator may take to say whether a batch may go: longer than its own longest request timeout. One that takes
/// longer does not know, and what it does not know does not go.
const PATIENCE: Duration = LONGEST_REQUEST_TIMEOUT.saturating_add(Duration::from_secs(1));

/// The fence of one run.
#[derive(Clone)]
pub struct Fence {
    pub(crate) coordinator: Arc<dyn Coordinator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) work: Arc<WorkId>,
    /// The shared units whose resources the run polls.
    pub(crate) units: Arc<[Unit]>,
}

impl Fence {
    /// Whether samples may go, the last of which was reported at `reported`.
    pub async fn lets_pass(&self, reported: Instant) -> bool {
        let finished = self.clock.boot_at(reported);
        let answer = self.coordinator.may_hand_over(&self.work, &self.units, finished);
        timeout(PATIENCE, answer).await.unwrap_or(false)
    }
}
