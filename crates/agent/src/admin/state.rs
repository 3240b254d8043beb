//! What the admin API reads.

use std::sync::Arc;

use nephoscope_config::hide_userinfo;
use nephoscope_model::Timestamp;
use nephoscope_notifier::Notifier;
use nephoscope_polling::engine::Engine;
use parking_lot::Mutex;

use crate::admin::readiness::{Facts, HangingCalls, Readiness};
use crate::coordination::Coordination;
use crate::metrics::{Metrics, Snapshot};

/// What the admin API reads; cheap to clone. Whoever runs the agent tells it in which [`Phase`] the agent is.
#[derive(Clone)]
pub(crate) struct AdminState {
    watched: Arc<Watched>,
    metrics: Arc<Metrics>,
}

struct Watched {
    engine: Engine,
    notifier: Notifier,
    coordination: Coordination,
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
pub(crate) enum Phase {
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
    pub(crate) fn new(engine: Engine, notifier: Notifier, coordination: Coordination) -> Self {
        let started = engine.scheduler().now;
        let watched = Arc::new(Watched {
            engine,
            notifier,
            coordination,
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
    pub(crate) fn enter(&self, phase: Phase) {
        self.watched.life.lock().phase = phase;
    }

    /// The configuration on disk has this many errors, and the one before is in use; none when it was taken.
    pub(crate) fn configuration_rejected(&self, errors: Option<usize>) {
        self.watched.life.lock().rejected = errors;
    }

    /// These keys of the configuration on disk wait for a restart.
    pub(crate) fn after_restart(&self, keys: Vec<&'static str>) {
        self.watched.life.lock().after_restart = keys;
    }

    /// Whether the scheduler lives. One that was told to end is as good: nobody should kill an agent that is
    /// delivering its last samples.
    pub(crate) fn is_alive(&self) -> bool {
        self.watched.life.lock().phase == Phase::Stopping || Facts::is_alive(&self.watched.engine.scheduler())
    }

    /// Whether the agent does its work, and what keeps it from doing so.
    pub(crate) fn readiness(&self) -> Readiness {
        self.watched.readiness()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.watched.engine
    }

    pub(crate) fn coordination(&self) -> &Coordination {
        &self.watched.coordination
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.watched.notifier
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What the metrics are made of.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.watched.snapshot()
    }
}

impl Watched {
    fn readiness(&self) -> Readiness {
        let life = self.life.lock().clone();
        let plugins = self.engine.plugins();
        Facts {
            phase: life.phase,
            rejected: life.rejected,
            after_restart: life.after_restart,
            state_trouble: self.engine.state_trouble(),
            scheduler: self.engine.scheduler(),
            tasks: self.engine.tasks(),
            records: self.engine.last_records(),
            set_aside: self.engine.set_aside(),
            publishers: self.notifier.status(),
            pool: self.coordination.status(),
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
        Snapshot::take(
            &self.engine,
            &self.notifier,
            &self.coordination,
            self.started,
            &self.readiness(),
        )
    }
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AdminState")
            .field("life", &*self.watched.life.lock())
            .finish_non_exhaustive()
    }
}
