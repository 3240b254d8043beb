//! The trait between the engine and the backends.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::CycleId;

use crate::Unit;

/// Divides shared work among agents.
///
/// One cycle of the engine, seen from here: [`Coordinator::plan`] at the edge, [`Plan::owns`] for each resource
/// of a shared unit, [`Coordinator::may_hand_over`] before each batch goes to the notifier, and for each unit
/// [`Coordinator::finished`] when the receipts of its samples have resolved, or [`Coordinator::gave_up`].
#[async_trait]
pub trait Coordinator: Send + Sync + 'static {
    /// Says which shared units this agent carries from now on; called at the start and after each reload.
    async fn carry(&self, units: Vec<Unit>);

    /// Who does what in this cycle.
    ///
    /// # Errors
    ///
    /// [`NoPlan`]: this agent polls nothing shared in this cycle.
    async fn plan(&self, cycle: &CycleId) -> Result<Arc<dyn Plan>, NoPlan>;

    /// The fence: whether samples of shared units of this cycle may still go to the notifier. It may wait
    /// for a short bounded time while the membership is in doubt.
    async fn may_hand_over(&self, cycle: &CycleId) -> bool;

    /// All of this agent's share of `unit` in `cycle` was polled, and every sample's receipt has resolved.
    fn finished(&self, cycle: &CycleId, unit: &Unit);

    /// This agent cannot do its share of `unit` in `cycle` (the service cannot be reached from here, or the
    /// agent stops): others may.
    fn gave_up(&self, cycle: &CycleId, unit: &Unit);

    /// Leaves the pool; called once, when the last cycle has ended.
    async fn leave(&self);
}

/// The division of one cycle.
pub trait Plan: Send + Sync {
    /// Whether this agent polls the resource `key` of a unit that is divided by resource.
    fn owns(&self, unit: &Unit, key: &str) -> bool;

    /// Whether this agent polls a unit that is divided by listing.
    fn owns_listing(&self, unit: &Unit) -> bool;
}

/// There is no plan for a cycle, or this agent is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlan {
    /// Why, for the log and the readiness.
    pub reason: String,
}
