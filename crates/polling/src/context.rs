//! What all parts of a cycle must know, and what all cycles share.

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
use crate::options::{EngineOptions, EngineParts};

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

/// What all cycles of an engine share.
pub struct EngineContext {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) host: Arc<str>,
    pub(crate) sample_source: Arc<str>,
    pub(crate) batch_size: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) coordinator: Arc<dyn Coordinator>,
    pub(crate) notifier: Notifier,
    pub(crate) hasher: KeyHasher,
    pub(crate) plugin_runtime: Handle,
    pub(crate) settlements: Settlements,
    /// No cycle and no run begins any more.
    pub(crate) stopping: CancellationToken,
    /// Running cycles end now.
    pub(crate) ended: CancellationToken,
}

impl EngineContext {
    /// For an engine that works so with these parts, until `ended` is cancelled.
    pub(crate) fn new(
        options: &EngineOptions,
        parts: &EngineParts,
        stopping: CancellationToken,
        ended: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock: parts.clock.clone(),
            host: options.host.clone(),
            sample_source: options.sample_source.clone(),
            batch_size: options.batch_size,
            flush_interval: options.flush_interval,
            coordinator: parts.coordinator.clone(),
            notifier: parts.notifier.clone(),
            hasher: KeyHasher::default(),
            plugin_runtime: parts.plugin_runtime.clone(),
            settlements: Settlements::on(parts.runtime.clone()),
            stopping,
            ended,
        })
    }

    /// The context of a cycle that polls within `limits`.
    pub(crate) fn cycle(self: &Arc<Self>, frame: CycleFrame, limits: Arc<Limits>) -> Arc<CycleContext> {
        Arc::new(CycleContext {
            engine: self.clone(),
            frame,
            limits,
            cache: CycleCache::default(),
            cancellation: self.ended.child_token(),
        })
    }
}

/// Which cycle it is, and its times.
#[derive(Clone)]
pub struct CycleFrame {
    pub(crate) cycle: CycleId,
    pub(crate) begun: Begun,
    /// The number of the takeover, if this is one.
    pub(crate) takeover: Option<u64>,
    pub(crate) interval: Duration,
    pub(crate) deadline: Instant,
}

/// What all parts of a cycle must know.
pub struct CycleContext {
    pub(crate) engine: Arc<EngineContext>,
    pub(crate) frame: CycleFrame,
    pub(crate) limits: Arc<Limits>,
    /// What its plugins share.
    pub(crate) cache: CycleCache,
    /// What runs ends now.
    pub(crate) cancellation: CancellationToken,
}
