//! The fence before the notifier: whether what was polled of shared units may still go.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{Coordinator, MAX_ANSWER_TIME, Unit, WorkId};
use tokio::time::{Instant, timeout};

use crate::clock::Clock;

/// How long the fence waits for a coordinator's answer: longer than a backend may take. A backend that takes even longer does
/// not know, and then the batch does not go.
const PATIENCE: Duration = MAX_ANSWER_TIME.saturating_add(Duration::from_secs(1));

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
