//! The contexts of the engine and of a cycle.

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

/// When a cycle started.
#[derive(Debug, Clone, Copy)]
pub struct CycleStart {
    pub(crate) at: Instant,
    pub(crate) wall: Timestamp,
}

impl CycleStart {
    /// The current time.
    pub fn now(clock: &dyn Clock) -> Self {
        Self {
            at: Instant::now(),
            wall: clock.wall(),
        }
    }
}

/// The state that all cycles of an engine share.
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
    /// Cancelled when no cycle and no run may start any more.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when running cycles must end.
    pub(crate) ended: CancellationToken,
}

impl EngineContext {
    /// Creates the context of an engine. `ended` aborts its cycles.
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

    /// Creates the context of a cycle with these limits.
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

/// The identity and the times of a cycle.
#[derive(Clone)]
pub struct CycleFrame {
    pub(crate) cycle: CycleId,
    pub(crate) started: CycleStart,
    /// The number of the takeover, if this is one.
    pub(crate) takeover: Option<u64>,
    pub(crate) interval: Duration,
    pub(crate) deadline: Instant,
}

/// The state that all parts of a cycle share.
pub struct CycleContext {
    pub(crate) engine: Arc<EngineContext>,
    pub(crate) frame: CycleFrame,
    pub(crate) limits: Arc<Limits>,
    /// The cache of its plugins.
    pub(crate) cache: CycleCache,
    /// Cancelled when its runs must end.
    pub(crate) cancellation: CancellationToken,
}
