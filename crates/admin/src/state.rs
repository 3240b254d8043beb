//! What the admin API reads.

use std::sync::Arc;

use nephoscope_config::hide_userinfo;
use nephoscope_model::Timestamp;
use nephoscope_notifier::Notifier;
use nephoscope_polling::engine::Engine;
use nephoscope_pool::{Pool, PoolStatus};
use parking_lot::Mutex;

use crate::metrics::{Metrics, Snapshot};
use crate::readiness::{Facts, HangingCalls, Readiness};

/// The parts of an agent that the admin API asks.
pub struct Handles {
    /// The version of the program.
    pub version: &'static str,
    /// What polls.
    pub engine: Engine,
    /// What publishes.
    pub notifier: Notifier,
    /// The pool, if work is shared.
    pub pool: Option<Arc<Pool>>,
}

/// What the admin API reads; cheap to clone. The agent says in which [`Phase`] it is.
#[derive(Clone)]
pub struct AdminState {
    watched: Arc<Watched>,
    metrics: Arc<Metrics>,
}

struct Watched {
    parts: Handles,
    started: Timestamp,
    life: Mutex<Life>,
}

#[derive(Debug, Clone, Default)]
struct Life {
    phase: Phase,
    rejected: Option<usize>,
    after_restart: Vec<&'static str>,
}

/// What the agent as a whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// No configuration is applied yet.
    #[default]
    Starting,
    /// A configuration is applied.
    Running,
    /// It was told to end, and no cycle starts any more.
    Stopping,
}

impl AdminState {
    /// Of an agent that is starting now.
    pub fn new(parts: Handles) -> Self {
        let started = parts.engine.scheduler().now;
        let watched = Arc::new(Watched {
            parts,
            started,
            life: Mutex::default(),
        });
        let scraped = watched.clone();
        Self {
            watched,
            metrics: Arc::new(Metrics::new(move || scraped.snapshot())),
        }
    }

    /// The agent begins another phase.
    pub fn enter(&self, phase: Phase) {
        self.watched.life.lock().phase = phase;
    }

    /// The configuration on disk has this many errors, and the one before is in use; none when it was taken.
    pub fn configuration_rejected(&self, errors: Option<usize>) {
        self.watched.life.lock().rejected = errors;
    }

    /// These keys of the configuration on disk wait for a restart.
    pub fn after_restart(&self, keys: Vec<&'static str>) {
        self.watched.life.lock().after_restart = keys;
    }

    /// Whether the scheduler lives. One that was told to end is as good: nobody should kill an agent that is
    /// delivering its last samples.
    pub(crate) fn is_alive(&self) -> bool {
        self.watched.life.lock().phase == Phase::Stopping || Facts::is_alive(&self.engine().scheduler())
    }

    /// Whether the agent does its work, and what keeps it from doing so.
    pub(crate) fn readiness(&self) -> Readiness {
        self.watched.readiness()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.watched.parts.engine
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.watched.parts.notifier
    }

    /// How the pool is, if work is shared.
    pub(crate) fn pool(&self) -> Option<PoolStatus> {
        self.watched.parts.pool_status()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What the metrics are made of.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.watched.snapshot()
    }
}

impl Handles {
    /// How the pool is, if work is shared.
    pub(crate) fn pool_status(&self) -> Option<PoolStatus> {
        self.pool.as_ref().map(|pool| pool.status())
    }
}

impl Watched {
    fn readiness(&self) -> Readiness {
        let life = self.life.lock().clone();
        let Handles { engine, notifier, .. } = &self.parts;
        let plugins = engine.plugins();
        Facts {
            phase: life.phase,
            rejected: life.rejected,
            after_restart: life.after_restart,
            state_trouble: engine.state_trouble(),
            scheduler: engine.scheduler(),
            tasks: engine.tasks(),
            records: engine.last_records(),
            set_aside: engine.set_aside(),
            publishers: notifier.status(),
            pool: self.parts.pool_status(),
            unavailable: plugins.unavailable.clone(),
            definitions: plugins
                .catalog
                .set_aside()
                .iter()
                .map(|problem| hide_userinfo(&problem.to_string()))
                .collect(),
            hanging: plugins
                .blocking
                .iter()
                .map(|(family, pool)| HangingCalls {
                    family: family.clone(),
                    names: pool.abandoned(),
                    exhausted: pool.is_exhausted(),
                })
                .collect(),
        }
        .judge()
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.parts, self.started, &self.readiness())
    }
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AdminState")
            .field("life", &*self.watched.life.lock())
            .finish_non_exhaustive()
    }
}
