//! The backend of a single agent, which owns everything.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_model::CycleId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Assignment, BootTime, Coordinator, NoPlan, Plan, Registration, Share, Unit, Work, WorkId};

/// `coordination: {backend: local}`: a pool of one.
#[derive(Debug, Default, Clone, Copy)]
pub struct Local;

#[async_trait]
impl Coordinator for Local {
    async fn register(&self, _registration: Registration) {}

    fn prepare(&self, _cycle: &CycleId, _edge: Instant, _interval: Duration) {}

    async fn plan(&self, _cycle: &CycleId) -> Result<Assignment, NoPlan> {
        Ok(Assignment {
            plan: Arc::new(WholePlan),
            cancelled: CancellationToken::new(),
        })
    }

    async fn next_work(&self) -> Work {
        std::future::pending().await
    }

    async fn may_hand_over(&self, _work: &WorkId, _units: &[Unit], _finished: BootTime) -> bool {
        true
    }

    fn finished(&self, _work: &WorkId, _unit: &Unit) {}

    fn gave_up(&self, _work: &WorkId, _unit: &Unit) {}

    fn skipped(&self, _cycle: &CycleId) {}

    async fn stopping(&self) {}

    async fn leave(&self) {}
}

/// The plan of a pool of one.
struct WholePlan;

impl Plan for WholePlan {
    fn lists(&self, _units: &[Unit]) -> bool {
        true
    }

    fn share(&self, _unit: &Unit) -> Share {
        Share::All
    }

    fn members(&self, _unit: &Unit) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}
