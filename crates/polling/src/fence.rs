//! The fence before the notifier: decides whether samples of shared units may still be submitted.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{Coordinator, MAX_ANSWER_TIME, Unit, WorkId};
use tokio::time::{Instant, timeout};

use crate::clock::Clock;

/// How long the fence waits for the coordinator: longer than a backend may take. Without an answer the batch is not
/// submitted.
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
    /// Whether samples may be submitted, the last of which was reported at `reported`.
    pub async fn allows(&self, reported: Instant) -> bool {
        let finished = self.clock.boot_at(reported);
        let answer = self.coordinator.may_hand_over(&self.work, &self.units, finished);
        timeout(PATIENCE, answer).await.unwrap_or(false)
    }
}
