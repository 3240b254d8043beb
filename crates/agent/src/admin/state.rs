//! What the admin API reads.

use std::sync::Arc;

use nephoscope_model::Timestamp;
use nephoscope_notifier::Notifier;
use nephoscope_polling::engine::Engine;
use parking_lot::Mutex;

use crate::admin::readiness::{Facts, HangingCalls, Readiness};
use crate::coordination::Coordination;
use crate::metrics::{Metrics, Snapshot};

/// What the admin API reads; cheap to clone. Whoever runs the agent tells it in which [`Phase`] the agent is.
#[derive(Clone)]
pub(crate) struct AdminState(Arc<Inner>);

struct Inner {
    engine: Engine,
    notifier: Notifier,
    coordination: Coordination,
    started: Timestamp,
    metrics: Metrics,
    life: Mutex<Life>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Life {
    phase: Phase,
    rejected: Option<usize>,
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
        let metrics = Metrics::new(engine.clone(), notifier.clone(), coordination.clone(), started);
        Self(Arc::new(Inner {
            engine,
            notifier,
            coordination,
            started,
            metrics,
            life: Mutex::default(),
        }))
    }

    /// The agent begins another phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.life.lock().phase = phase;
    }

    /// The configuration on disk has this many errors, and the one before is in use; none when it was taken.
    pub(crate) fn configuration_rejected(&self, errors: Option<usize>) {
        self.0.life.lock().rejected = errors;
    }

    /// Whether the scheduler lives. One that was told to end is as good: nobody should kill an agent that is
    /// delivering its last samples.
    pub(crate) fn is_alive(&self) -> bool {
        self.0.life.lock().phase == Phase::Stopping || Facts::is_alive(&self.0.engine.scheduler())
    }

    /// Whether the agent does its work, and what keeps it from doing so.
    pub(crate) fn readiness(&self) -> Readiness {
        let life = *self.0.life.lock();
        let plugins = self.0.engine.plugins();
        Facts {
            phase: life.phase,
            rejected: life.rejected,
            scheduler: self.0.engine.scheduler(),
            tasks: self.0.engine.tasks(),
            records: self.0.engine.records(),
            set_aside: self.0.engine.set_aside(),
            publishers: self.0.notifier.status(),
            pool: self.0.coordination.status(),
            unavailable: plugins.unavailable.clone(),
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

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.0.notifier
    }

    pub(crate) fn coordination(&self) -> &Coordination {
        &self.0.coordination
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What the metrics are made of.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::take(
            &self.0.engine,
            &self.0.notifier,
            &self.0.coordination,
            self.0.started,
        )
    }
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AdminState")
            .field("life", &*self.0.life.lock())
            .finish_non_exhaustive()
    }
}
