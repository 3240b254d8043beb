//! Places at endpoints: how many may ask one endpoint at once.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

/// Gives out places at endpoints; implemented by the engine, which keeps the limit (`agent.limits.max_concurrent_polls_per_endpoint`).
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Waits for a place at an endpoint. Dropping the future gives up the wait.
    async fn admit(&self, endpoint: &Arc<str>) -> Permit;
}

/// A place at an endpoint; given back when dropped.
#[must_use = "the place is given back when the permit is dropped"]
pub struct Permit(Option<Box<dyn Any + Send + Sync>>);

impl Permit {
    /// A place that is held by `place`, until that is dropped.
    pub fn new(place: impl Any + Send + Sync) -> Self {
        Self(Some(Box::new(place)))
    }

    /// A place where there is no limit.
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

/// No limit at all: what a testing kit and a run outside of the engine have.
#[derive(Debug)]
pub(crate) struct Unlimited;

#[async_trait]
impl Admission for Unlimited {
    async fn admit(&self, _: &Arc<str>) -> Permit {
        Permit::unlimited()
    }
}
