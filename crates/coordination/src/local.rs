//! The backend of an agent that is alone: everything is its own.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::CycleId;

use crate::{Coordinator, NoPlan, Plan, Unit};

/// `coordination: {backend: local}`: a pool of one.
#[derive(Debug, Default, Clone, Copy)]
pub struct Local;

#[async_trait]
impl Coordinator for Local {
    async fn carry(&self, _units: Vec<Unit>) {}

    async fn plan(&self, _cycle: &CycleId) -> Result<Arc<dyn Plan>, NoPlan> {
        Ok(Arc::new(Everything))
    }

    async fn may_hand_over(&self, _cycle: &CycleId) -> bool {
        true
    }

    fn finished(&self, _cycle: &CycleId, _unit: &Unit) {}

    fn gave_up(&self, _cycle: &CycleId, _unit: &Unit) {}

    async fn leave(&self) {}
}

/// The plan of a pool of one.
struct Everything;

impl Plan for Everything {
    fn owns(&self, _unit: &Unit, _key: &str) -> bool {
        true
    }

    fn owns_listing(&self, _unit: &Unit) -> bool {
        true
    }
}
