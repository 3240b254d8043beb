//! Permits for endpoints: how many requests to one endpoint may run at once.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

/// Issues permits for endpoints. The engine implements it with the limit `agent.limits.max_concurrent_polls_per_endpoint`.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Waits for a permit for an endpoint. Dropping the future gives up the wait.
    async fn admit(&self, endpoint: &Arc<str>) -> Permit;
}

/// A permit to use an endpoint. Dropping it releases the slot.
#[must_use = "dropping the permit releases its slot"]
pub struct Permit(Option<Box<dyn Any + Send + Sync>>);

impl Permit {
    /// A permit that holds `slot` until it is dropped.
    pub fn new(slot: impl Any + Send + Sync) -> Self {
        Self(Some(Box::new(slot)))
    }

    /// A permit without a limit.
    pub fn unlimited() -> Self {
        Self(None)
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Permit")
            .field("limited", &self.0.is_some())
            .finish()
    }
}

/// No limits: used by the testing kit and by runs outside the engine.
#[derive(Debug)]
pub(crate) struct Unlimited;

#[async_trait]
impl Admission for Unlimited {
    async fn admit(&self, _: &Arc<str>) -> Permit {
        Permit::unlimited()
    }
}
