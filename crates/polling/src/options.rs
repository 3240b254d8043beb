//! How an engine works, and what it works with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Coordinator;
use nephoscope_notifier::Notifier;
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::limits::LimitOptions;

/// How an engine works, apart from what it polls.
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
    /// Whether units that agents share are this agent's alone (the `local` backend): they are polled at once at the start, too.
    pub shared_in_progress: bool,
    /// Where finished cycles are remembered.
    pub state_dir: Option<PathBuf>,
}

/// What an engine works with.
#[derive(Clone)]
pub struct EngineParts {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Who divides shared work.
    pub coordinator: Arc<dyn Coordinator>,
    /// Where samples go.
    pub notifier: Notifier,
    /// Where the engine itself runs.
    pub runtime: Handle,
    /// Where plugins run: one that blocks its thread must not block the engine.
    pub plugin_runtime: Handle,
}
