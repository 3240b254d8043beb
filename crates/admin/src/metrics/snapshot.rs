//! The data of one scrape.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nephoscope_config::hide_userinfo;
use nephoscope_model::Timestamp;
use nephoscope_notifier::PublisherStatus;
use nephoscope_plugin::{CallTotals, Circuit};
use nephoscope_polling::stats::{
    BackedOffStatus, DiscoveryTotals, PollsterTotals, SchedulerStatus, TaskStatus,
};
use nephoscope_pool::PoolStatus;

use crate::metrics::ProcessUsage;
use crate::readiness::{Readiness, ReasonCode};
use crate::state::Handles;

/// The counts of all parts of the agent at one moment.
pub(crate) struct Snapshot {
    /// The version of the program.
    pub(crate) version: &'static str,
    /// The start time of the agent.
    pub(crate) started: Timestamp,
    /// The resource usage of the process.
    pub(crate) process: ProcessUsage,
    /// Whether `/readyz` returns 200.
    pub(crate) ready: bool,
    /// The number of readiness reasons of each code, including codes without reasons.
    pub(crate) reasons: Vec<(&'static str, usize)>,
    /// The state of the scheduler.
    pub(crate) scheduler: SchedulerStatus,
    /// All tasks.
    pub(crate) tasks: Vec<TaskStatus>,
    /// Totals by pollster.
    pub(crate) pollsters: BTreeMap<Arc<str>, PollsterTotals>,
    /// Totals by masked discovery URL, for URLs in the current configuration.
    pub(crate) listings: BTreeMap<String, DiscoveryTotals>,
    /// Backed-off resources and hung pollsters.
    pub(crate) backed_off: Vec<BackedOffStatus>,
    /// The publishers, each name once.
    pub(crate) publishers: Vec<PublisherStatus>,
    /// Samples and events that no publisher selects.
    pub(crate) filtered: u64,
    /// The pool, if work is shared.
    pub(crate) pool: Option<PoolStatus>,
    /// The number of plugins that this machine does not support.
    pub(crate) plugins_unavailable: usize,
    /// The number of hung blocking calls by plugin family.
    pub(crate) hung_calls: Vec<(Arc<str>, usize)>,
    /// Calls of plugins to services.
    pub(crate) service_calls: Vec<CallTotals>,
    /// The circuits of services that have a circuit breaker.
    pub(crate) service_circuits: Vec<(Cow<'static, str>, Circuit)>,
}

impl Snapshot {
    /// Takes a snapshot of all parts.
    pub(crate) fn take(parts: &Handles, started: Timestamp, readiness: &Readiness) -> Self {
        let Handles { engine, notifier, .. } = parts;
        let tasks = engine.tasks();
        let listings = listings(&tasks, engine.totals().discoveries());
        // A publisher that one reload removed and another added again appears twice while its old queue is drained.
        let mut publishers = notifier.status();
        let mut names = BTreeSet::new();
        publishers.retain(|publisher| names.insert(publisher.name.clone()));
        let plugins = engine.plugins();
        Self {
            version: parts.version,
            started,
            process: ProcessUsage::of_this_process(),
            ready: readiness.ready,
            reasons: ReasonCode::ALL
                .iter()
                .map(|code| (code.as_str(), readiness.count(*code)))
                .collect(),
            scheduler: engine.scheduler(),
            pollsters: engine.totals().pollsters(),
            listings,
            backed_off: engine.backed_off(),
            publishers,
            filtered: notifier.filtered(),
            pool: parts.pool_status(),
            plugins_unavailable: plugins.unavailable.len(),
            hung_calls: plugins
                .blocking
                .iter()
                .map(|(family, pool)| (family.clone(), pool.hung_calls().len()))
                .collect(),
            service_calls: plugins.calls.totals(),
            service_circuits: plugins.calls.circuits(),
            tasks,
        }
    }
}

fn listings(
    tasks: &[TaskStatus],
    totals: BTreeMap<Arc<str>, DiscoveryTotals>,
) -> BTreeMap<String, DiscoveryTotals> {
    // Totals of removed URLs would otherwise remain forever.
    let wanted: BTreeSet<&Arc<str>> = tasks
        .iter()
        .flat_map(|task| &task.runs)
        .flat_map(|run| run.discoveries.iter().chain(&run.fallbacks))
        .collect();
    let mut shown: BTreeMap<String, DiscoveryTotals> = BTreeMap::new();
    for (listing, totals) in totals.into_iter().filter(|(listing, _)| wanted.contains(listing)) {
        // URLs that differ only in the masked part are added up.
        let sum = shown.entry(hide_userinfo(&listing)).or_default();
        sum.runs += totals.runs;
        sum.resources += totals.resources;
        sum.failures += totals.failures;
        sum.durations.add_all(&totals.durations);
    }
    shown
}
