//! What there is to show at one moment.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nephoscope_config::hide_userinfo;
use nephoscope_model::Timestamp;
use nephoscope_notifier::PublisherStatus;
use nephoscope_plugin::{CallTotals, Circuit};
use nephoscope_polling::stats::{ListingTotals, PollsterTotals, SchedulerStatus, SetAsideStatus, TaskStatus};
use nephoscope_pool::PoolStatus;

use crate::metrics::ProcessUsage;
use crate::readiness::{Readiness, ReasonCode};
use crate::state::Handles;

/// What the parts of the agent have counted by now.
pub(crate) struct Snapshot {
    /// The program's version.
    pub(crate) version: &'static str,
    /// When the agent started.
    pub(crate) started: Timestamp,
    /// What the process uses.
    pub(crate) process: ProcessUsage,
    /// Whether `/readyz` says that the agent is ready.
    pub(crate) ready: bool,
    /// How many reasons `/readyz` gives, by code; all codes are there.
    pub(crate) reasons: Vec<(&'static str, usize)>,
    /// How the scheduler is.
    pub(crate) scheduler: SchedulerStatus,
    /// All tasks.
    pub(crate) tasks: Vec<TaskStatus>,
    /// Totals by pollster.
    pub(crate) pollsters: BTreeMap<Arc<str>, PollsterTotals>,
    /// Totals by listing as it may be shown, of those that the present configuration has.
    pub(crate) listings: BTreeMap<String, ListingTotals>,
    /// What is set aside and what hangs.
    pub(crate) set_aside: Vec<SetAsideStatus>,
    /// The publishers; each name once.
    pub(crate) publishers: Vec<PublisherStatus>,
    /// Samples and events that no publisher took.
    pub(crate) filtered: u64,
    /// The pool, if work is shared.
    pub(crate) pool: Option<PoolStatus>,
    /// Plugins that this machine is not fit for.
    pub(crate) plugins_unavailable: usize,
    /// Blocking calls that were left behind and still hang, by plugin family.
    pub(crate) calls_left_behind: Vec<(Arc<str>, usize)>,
    /// What plugins asked of services.
    pub(crate) service_calls: Vec<CallTotals>,
    /// The services that are asked through a circuit breaker.
    pub(crate) service_circuits: Vec<(Cow<'static, str>, Circuit)>,
}

impl Snapshot {
    /// Asks everybody.
    pub(crate) fn take(parts: &Handles, started: Timestamp, readiness: &Readiness) -> Self {
        let Handles { engine, notifier, .. } = parts;
        let tasks = engine.tasks();
        let listings = listings(&tasks, engine.totals().listings());
        // A publisher that a reload removed and another brought back is there twice while its queue is emptied.
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
            set_aside: engine.set_aside(),
            publishers,
            filtered: notifier.filtered(),
            pool: parts.pool_status(),
            plugins_unavailable: plugins.unavailable.len(),
            calls_left_behind: plugins
                .blocking
                .iter()
                .map(|(family, pool)| (family.clone(), pool.abandoned().len()))
                .collect(),
            service_calls: plugins.calls.totals(),
            service_circuits: plugins.calls.circuits(),
            tasks,
        }
    }
}

fn listings(
    tasks: &[TaskStatus],
    totals: BTreeMap<Arc<str>, ListingTotals>,
) -> BTreeMap<String, ListingTotals> {
    // Reloads come and go: a listing that is no longer asked would stay for ever.
    let wanted: BTreeSet<&Arc<str>> = tasks
        .iter()
        .flat_map(|task| &task.runs)
        .flat_map(|run| run.listings.iter().chain(&run.fallbacks))
        .collect();
    let mut shown: BTreeMap<String, ListingTotals> = BTreeMap::new();
    for (listing, totals) in totals.into_iter().filter(|(listing, _)| wanted.contains(listing)) {
        // Two that differ in what is hidden are one to everybody else.
        let sum = shown.entry(hide_userinfo(&listing)).or_default();
        sum.runs += totals.runs;
        sum.resources += totals.resources;
        sum.failures += totals.failures;
    }
    shown
}
