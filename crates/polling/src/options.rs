//! The options and the dependencies of an engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Coordinator;
use nephoscope_notifier::Notifier;
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::limits::LimitOptions;

/// The options of an engine, apart from its sources.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// `agent.id`.
    pub agent_id: Arc<str>,
    /// `agent.host`.
    pub host: Arc<str>,
    /// `agent.sample_source`.
    pub sample_source: Arc<str>,
    /// `notifier.batch_size`.
    pub batch_size: usize,
    /// `notifier.flush_interval`.
    pub flush_interval: Duration,
    /// `agent.limits`.
    pub limits: LimitOptions,
    /// `agent.splay`.
    pub splay: bool,
    /// Whether shared units belong to this agent only (the `local` backend), so that they are also polled at the start.
    pub shared_in_progress: bool,
    /// The folder for the state of finished cycles.
    pub state_dir: Option<PathBuf>,
}

/// The dependencies of an engine.
#[derive(Clone)]
pub struct EngineParts {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The coordinator that divides shared work.
    pub coordinator: Arc<dyn Coordinator>,
    /// The notifier that receives samples.
    pub notifier: Notifier,
    /// The runtime of the engine itself.
    pub runtime: Handle,
    /// The runtime of plugins, separate so that a plugin that blocks its thread does not block the engine.
    pub plugin_runtime: Handle,
}
