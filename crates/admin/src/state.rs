//! The state of the admin API.

use std::sync::Arc;

use nephoscope_config::hide_userinfo;
use nephoscope_model::Timestamp;
use nephoscope_notifier::Notifier;
use nephoscope_polling::engine::Engine;
use nephoscope_pool::{Pool, PoolStatus};
use parking_lot::Mutex;

use crate::metrics::{Metrics, Snapshot};
use crate::readiness::{Facts, HungCalls, Readiness};

/// The parts of an agent that the admin API reads.
pub struct Handles {
    /// The version of the program.
    pub version: &'static str,
    /// The polling engine.
    pub engine: Engine,
    /// The notifier.
    pub notifier: Notifier,
    /// The pool, if work is shared.
    pub pool: Option<Arc<Pool>>,
}

/// The state of the admin API. Clones share it. The agent sets its [`Phase`].
#[derive(Clone)]
pub struct AdminState {
    inner: Arc<Inner>,
    metrics: Arc<Metrics>,
}

struct Inner {
    parts: Handles,
    started: Timestamp,
    lifecycle: Mutex<Lifecycle>,
}

#[derive(Debug, Clone, Default)]
struct Lifecycle {
    phase: Phase,
    rejected: Option<usize>,
    after_restart: Vec<&'static str>,
}

/// The phase of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// No configuration is applied yet.
    #[default]
    Starting,
    /// A configuration is applied.
    Running,
    /// The agent is stopping, and starts no cycles.
    Stopping,
}

impl AdminState {
    /// Creates the state of an agent that is starting.
    pub fn new(parts: Handles) -> Self {
        let started = parts.engine.scheduler().now;
        let inner = Arc::new(Inner {
            parts,
            started,
            lifecycle: Mutex::default(),
        });
        let scraped = inner.clone();
        Self {
            inner,
            metrics: Arc::new(Metrics::new(move || scraped.snapshot())),
        }
    }

    /// Sets the phase of the agent.
    pub fn set_phase(&self, phase: Phase) {
        self.inner.lifecycle.lock().phase = phase;
    }

    /// Sets the number of errors of the rejected configuration on disk, or `None` after it was accepted.
    pub fn set_rejected(&self, errors: Option<usize>) {
        self.inner.lifecycle.lock().rejected = errors;
    }

    /// Sets the changed keys of the configuration on disk that require a restart.
    pub fn set_restart_required(&self, keys: Vec<&'static str>) {
        self.inner.lifecycle.lock().after_restart = keys;
    }

    /// Returns whether the scheduler is alive. A stopping agent counts as alive, so that nobody kills it while it delivers
    /// its last samples.
    pub(crate) fn is_alive(&self) -> bool {
        self.inner.lifecycle.lock().phase == Phase::Stopping || Facts::is_alive(&self.engine().scheduler())
    }

    /// Evaluates the readiness of the agent.
    pub(crate) fn readiness(&self) -> Readiness {
        self.inner.readiness()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.parts.engine
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.inner.parts.notifier
    }

    /// Returns the state of the pool, if work is shared.
    pub(crate) fn pool(&self) -> Option<PoolStatus> {
        self.inner.parts.pool_status()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes a snapshot for the metrics.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.inner.snapshot()
    }
}

impl Handles {
    /// Returns the state of the pool, if work is shared.
    pub(crate) fn pool_status(&self) -> Option<PoolStatus> {
        self.pool.as_ref().map(|pool| pool.status())
    }
}

impl Inner {
    fn readiness(&self) -> Readiness {
        let lifecycle = self.lifecycle.lock().clone();
        let Handles { engine, notifier, .. } = &self.parts;
        let plugins = engine.plugins();
        Facts {
            phase: lifecycle.phase,
            rejected: lifecycle.rejected,
            after_restart: lifecycle.after_restart,
            state_write_error: engine.state_write_error(),
            scheduler: engine.scheduler(),
            tasks: engine.tasks(),
            records: engine.last_records(),
            backed_off: engine.backed_off(),
            publishers: notifier.status(),
            pool: self.parts.pool_status(),
            unavailable: plugins.unavailable.clone(),
            definitions: plugins
                .catalog
                .rejected_definitions()
                .iter()
                .map(|problem| hide_userinfo(&problem.to_string()))
                .collect(),
            hung_calls: plugins
                .blocking
                .iter()
                .map(|(family, pool)| HungCalls {
                    family: family.clone(),
                    names: pool.hung_calls(),
                    exhausted: pool.is_exhausted(),
                })
                .collect(),
        }
        .evaluate()
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.parts, self.started, &self.readiness())
    }
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AdminState")
            .field("lifecycle", &*self.inner.lifecycle.lock())
            .finish_non_exhaustive()
    }
}
