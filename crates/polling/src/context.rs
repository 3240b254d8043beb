//! What all parts of a cycle must know.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Coordinator;
use nephoscope_model::{CycleId, Timestamp};
use nephoscope_notifier::Notifier;
use nephoscope_plugin::CycleCache;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::keyhash::KeyHasher;
use crate::ledger::Settlements;
use crate::limits::Limits;

/// When a cycle took its first step.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    pub(crate) at: Instant,
    pub(crate) wall: Timestamp,
}

impl Begun {
    /// It takes it now.
    pub fn now(clock: &dyn Clock) -> Self {
        Self {
            at: Instant::now(),
            wall: clock.wall(),
        }
    }
}

/// What all parts of a cycle must know.
pub struct CycleContext {
    pub(crate) cycle: CycleId,
    pub(crate) begun: Begun,
    /// The number of the succession, if this is one.
    pub(crate) succession: Option<u64>,
    pub(crate) interval: Duration,
    pub(crate) deadline: Instant,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: CycleCache,
    pub(crate) host: Arc<str>,
    pub(crate) sample_source: Arc<str>,
    pub(crate) batch_size: usize,
    pub(crate) batch_age: Duration,
    pub(crate) coordinator: Arc<dyn Coordinator>,
    pub(crate) notifier: Notifier,
    pub(crate) limits: Arc<Limits>,
    pub(crate) hasher: KeyHasher,
    pub(crate) plugin_runtime: Handle,
    pub(crate) settlements: Settlements,
    /// No run begins any more.
    pub(crate) stopping: CancellationToken,
    /// What runs ends now.
    pub(crate) cancellation: CancellationToken,
}
