//! The kit: builds the plugins of a family and runs them as the engine does.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nephoscope_model::{CycleId, Resource, RunIds, Sample, ScheduleId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::outcome::{Outcome, Recorder};
use crate::{
    BlockingPool, BuildContext, BuildError, CallCounts, Catalog, CycleCache, DefinitionProblem, Discovery,
    DiscoveryDefinition, DiscoveryRun, DiscoveryRunParts, ExpandRequest, Failure, FailureKind, Families,
    Family, MeterTable, Page, PollContext, PollRun, Pollster, PollsterDefinition, SampleSink, Scope,
    WantedMeters,
};

/// The default deadline of a run.
const DEADLINE: Duration = Duration::from_secs(30);

/// The number of resources on a page for pollsters. It is small, so that tests use more than one page.
const PAGE: usize = 100;

/// The number of samples of a batch.
const BATCH: usize = 50;

/// The maximum number of waiting pages or batches. It is small, so that backpressure works as in the agent.
const QUEUE: usize = 2;

/// The default maximum number of resources of a discovery run.
const MAX_RESOURCES: usize = 100_000;

/// The interval of the schedule of numbered cycles, in milliseconds.
const INTERVAL_MILLIS: i64 = 300_000;

/// The discoveries and pollsters of one family, with the options of a test.
///
/// Each is built once, at its first use: the runs of one kit share its state as the cycles of an agent do.
pub struct Kit {
    family: String,
    /// The plugins that the test links.
    linked: Catalog,
    /// The catalog with the definitions that families create from their options.
    expanded: OnceLock<(Catalog, Vec<DefinitionProblem>)>,
    host: Arc<str>,
    members: NonZeroUsize,
    options: BTreeMap<String, serde_json::Value>,
    families: OnceLock<Families>,
    calls: CallCounts,
    blocking: BlockingPool,
    discoveries: Mutex<HashMap<String, Arc<dyn Discovery>>>,
    pollsters: Mutex<HashMap<String, Arc<dyn Pollster>>>,
    /// The cache of the last cycle.
    cache: Mutex<Option<(CycleId, CycleCache)>>,
}

impl Kit {
    /// Creates a kit for the family of this name, which the test's crate or one of its dependencies registers.
    pub fn new(family: &str) -> Self {
        match Catalog::collect() {
            Ok(catalog) => Self::of(catalog, family),
            Err(error) => panic!("the catalog is not consistent: {error}"),
        }
    }

    /// Creates a kit for a family of this catalog.
    pub fn of(catalog: Catalog, family: &str) -> Self {
        Self {
            family: family.to_owned(),
            linked: catalog,
            expanded: OnceLock::new(),
            host: "node1".into(),
            members: NonZeroUsize::MIN,
            options: BTreeMap::new(),
            families: OnceLock::new(),
            calls: CallCounts::default(),
            blocking: BlockingPool::default(),
            discoveries: Mutex::default(),
            pollsters: Mutex::default(),
            cache: Mutex::default(),
        }
    }

    /// Sets the options under `plugins: {family: ...}`; default: none.
    #[must_use]
    pub fn options(self, options: serde_json::Value) -> Self {
        let family = self.family.clone();
        self.options_of(&family, options)
    }

    /// Sets the options of another family that this one uses ([`BuildContext::family`]); default: none.
    #[must_use]
    pub fn options_of(mut self, family: &str, options: serde_json::Value) -> Self {
        self.options.insert(family.to_owned(), options);
        self
    }

    /// Everything that an agent with these options can load, including what the family defines from its options and files.
    pub fn catalog(&self) -> &Catalog {
        &self.expanded().0
    }

    /// The problems of the definitions that the families create from their options and files.
    pub fn problems(&self) -> &[DefinitionProblem] {
        &self.expanded().1
    }

    fn expanded(&self) -> &(Catalog, Vec<DefinitionProblem>) {
        self.expanded.get_or_init(|| {
            // The family's name as a namespace enables it.
            let namespaces = [self.family.clone()];
            let expanded = self
                .linked
                .expand(&ExpandRequest::new(&self.options, &namespaces));
            (expanded.catalog, expanded.problems)
        })
    }

    /// The calls of the family's plugins so far.
    pub fn calls(&self) -> &CallCounts {
        &self.calls
    }

    /// Sets the agent's host name; default: `node1`.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    /// Sets how many agents share the resources; default: 1.
    #[must_use]
    pub fn members(mut self, members: NonZeroUsize) -> Self {
        self.members = members;
        self
    }

    /// Prepares a run of the pollster of this name. Default: no resources, all meters, cycle 1.
    ///
    /// # Panics
    ///
    /// When no such pollster is registered.
    pub fn pollster(&self, name: &str) -> PollSetup<'_> {
        let mut known = self.catalog().pollsters().iter();
        let Some(plugin) = known.find(|plugin| plugin.family() == self.family && *plugin.name == *name)
        else {
            let known: Vec<_> = self
                .catalog()
                .pollsters()
                .iter()
                .map(|plugin| &*plugin.name)
                .collect();
            panic!(
                "no pollster `{name}` of the family `{}` is registered; registered: {known:?}{}",
                self.family,
                self.problem_text()
            );
        };
        PollSetup {
            kit: self,
            plugin: plugin.clone(),
            resources: Vec::new(),
            discovery_url: None,
            wanted: None,
            cycle: cycle(1),
            deadline: DEADLINE,
        }
    }

    /// Prepares a run of this discovery URL; default: in cycle 1.
    ///
    /// # Panics
    ///
    /// When no such discovery is registered.
    pub fn discovery(&self, url: &str) -> DiscoverySetup<'_> {
        let (name, parameter) = split(url);
        let Some(plugin) = self.find_discovery(name) else {
            let known: Vec<_> = self
                .catalog()
                .discoveries()
                .iter()
                .map(|plugin| &*plugin.name)
                .collect();
            panic!(
                "no discovery `{name}` of the family `{}` is registered; registered: {known:?}{}",
                self.family,
                self.problem_text()
            );
        };
        DiscoverySetup {
            kit: self,
            plugin,
            parameter,
            cycle: cycle(1),
            deadline: DEADLINE,
            limit: MAX_RESOURCES,
            wanted: WantedMeters::default(),
        }
    }

    /// The registration of the family.
    pub(super) fn family(&self) -> Option<Family> {
        self.linked.family(&self.family).copied()
    }

    fn problem_text(&self) -> String {
        let problems = self.problems().iter();
        problems.map(|problem| format!("\n{problem}")).collect()
    }

    pub(super) fn build_discovery(
        &self,
        plugin: &DiscoveryDefinition,
    ) -> Result<Arc<dyn Discovery>, BuildError> {
        let mut built = self.discoveries.lock();
        if let Some(discovery) = built.get(&*plugin.name) {
            return Ok(discovery.clone());
        }
        let discovery = plugin.build(&self.build_context(plugin.family()))?;
        built.insert(plugin.name.to_string(), discovery.clone());
        Ok(discovery)
    }

    pub(super) fn build_pollster(
        &self,
        plugin: &PollsterDefinition,
    ) -> Result<Arc<dyn Pollster>, BuildError> {
        let mut built = self.pollsters.lock();
        if let Some(pollster) = built.get(&*plugin.name) {
            return Ok(pollster.clone());
        }
        let pollster = plugin.build(&self.build_context(plugin.family()))?;
        built.insert(plugin.name.to_string(), pollster.clone());
        Ok(pollster)
    }

    fn build_context(&self, family: &'static str) -> BuildContext {
        let families = self
            .families
            .get_or_init(|| Families::new(self.options.clone(), self.calls.clone()));
        BuildContext::new(self.host.clone(), family, families.clone(), self.blocking.clone())
    }

    fn find_discovery(&self, name: &str) -> Option<Arc<DiscoveryDefinition>> {
        let mut known = self.catalog().discoveries().iter();
        let found = known.find(|plugin| plugin.family() == self.family && *plugin.name == *name);
        found.cloned()
    }

    fn cache(&self, cycle: &CycleId) -> CycleCache {
        let mut last = self.cache.lock();
        match &*last {
            Some((of, cache)) if of == cycle => cache.clone(),
            _ => {
                let cache = CycleCache::default();
                *last = Some((cycle.clone(), cache.clone()));
                cache
            }
        }
    }

    fn context(&self, cycle: CycleId, deadline: Instant) -> PollContext {
        let cache = self.cache(&cycle);
        PollContext::new(cycle, deadline, CancellationToken::new(), cache).members(self.members)
    }
}

/// A pollster run in preparation.
#[must_use = "nothing runs until `poll` is called"]
pub struct PollSetup<'a> {
    kit: &'a Kit,
    plugin: Arc<PollsterDefinition>,
    resources: Vec<Resource>,
    discovery_url: Option<String>,
    wanted: Option<Vec<String>>,
    cycle: CycleId,
    deadline: Duration,
}

impl PollSetup<'_> {
    /// Polls these resources, as if a `resources:` list named them.
    pub fn resources<T: AsRef<str>>(mut self, keys: impl IntoIterator<Item = T>) -> Self {
        self.resources
            .extend(keys.into_iter().map(|key| Resource::new(key.as_ref())));
        self
    }

    /// Polls these resources, for example resources with a body that the test creates.
    pub fn discovered(mut self, resources: impl IntoIterator<Item = Resource>) -> Self {
        self.resources.extend(resources);
        self
    }

    /// Polls the resources that this discovery of the family lists in the same cycle.
    pub fn resources_from(mut self, url: &str) -> Self {
        self.discovery_url = Some(url.to_owned());
        self
    }

    /// Collects only these meters.
    pub fn wanted<T: Into<String>>(mut self, meters: impl IntoIterator<Item = T>) -> Self {
        self.wanted = Some(meters.into_iter().map(Into::into).collect());
        self
    }

    /// Runs in the cycle with this number of the schedule `every:300:0`.
    pub fn cycle(mut self, number: i64) -> Self {
        self.cycle = cycle(number);
        self
    }

    /// Runs in this cycle of any schedule.
    pub fn cycle_id(mut self, cycle: CycleId) -> Self {
        self.cycle = cycle;
        self
    }

    /// Aborts the poll after this time; default: 30 s.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = after;
        self
    }

    /// Runs the poll.
    ///
    /// # Panics
    ///
    /// When the pollster cannot be built, or the discovery run of [`PollSetup::resources_from`] fails.
    pub async fn poll(self) -> Outcome {
        let kit = self.kit;
        let mut resources = self.resources;
        let discovery_url = self.discovery_url.as_deref();
        if let Some(url) = discovery_url {
            let meters = self.plugin.meters.iter().map(|meter| &*meter.name);
            let is_wanted = |name: &&str| {
                let wanted = self.wanted.as_ref();
                wanted.is_none_or(|wanted| wanted.iter().any(|meter| meter == name))
            };
            let discovery = kit.discovery(url).cycle_id(self.cycle.clone());
            match discovery.wanted(meters.filter(is_wanted)).list().await {
                Ok(discovered) => resources.extend(discovered),
                Err(failure) => panic!("the discovery run `{url}` failed: {}", failure.chain()),
            }
        }
        let pollster = match kit.build_pollster(&self.plugin) {
            Ok(pollster) => pollster,
            Err(error) => panic!("the pollster `{}` could not be built: {error}", self.plugin.name),
        };
        let scope = discovery_url
            .or(self.plugin.default_discovery.as_deref())
            .and_then(|url| kit.find_discovery(split(url).0))
            .map(|discovery| discovery.scope);
        let mut started = Started::start(
            pollster,
            &self.plugin,
            self.wanted.as_deref(),
            if scope == Some(Scope::Host) { &kit.host } else { "" },
            kit.context(self.cycle, Instant::now() + self.deadline),
        );
        started.feed(resources);
        started.end().await
    }
}

/// A running poll, which the conformance check controls step by step.
pub(super) struct Started {
    context: PollContext,
    pages: Option<mpsc::Sender<Page>>,
    feeder: Option<AbortHandle>,
    poll: JoinHandle<Result<(), Failure>>,
    samples: JoinHandle<Vec<Sample>>,
    recorder: Arc<Recorder>,
    output: Arc<crate::RunOutput>,
}

impl Started {
    /// Starts the pollster without resources.
    pub(super) fn start(
        pollster: Arc<dyn Pollster>,
        plugin: &PollsterDefinition,
        wanted: Option<&[String]>,
        host: &str,
        context: PollContext,
    ) -> Self {
        let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.iter().any(|meter| meter == name));
        if let Some(unknown) = wanted
            .unwrap_or_default()
            .iter()
            .find(|name| !plugin.meters.iter().any(|meter| meter.name == **name))
        {
            panic!("`{}` has no meter `{unknown}`", plugin.name);
        }
        let meters = plugin
            .meters
            .iter()
            .map(|meter| (meter.clone(), is_wanted(&meter.name)));
        let (batches, mut received) = mpsc::channel(QUEUE);
        let recorder = Arc::new(Recorder::default());
        let (sink, output) = SampleSink::new(
            Arc::new(MeterTable::new(meters)),
            RunIds::new(host, &context.cycle, &plugin.name),
            context.cycle.start,
            BATCH,
            batches,
            recorder.clone(),
        );
        let (pages, waiting) = mpsc::channel(QUEUE);
        let mut run = PollRun::new(context.clone(), waiting, sink);
        let poll = tokio::spawn(async move { pollster.poll(&mut run).await });
        let samples = tokio::spawn(async move {
            let mut samples = Vec::new();
            while let Some(batch) = received.recv().await {
                samples.extend(batch.samples);
            }
            samples
        });
        Self {
            context,
            pages: Some(pages),
            feeder: None,
            poll,
            samples,
            recorder,
            output,
        }
    }

    /// Sends all resources to the poll.
    pub(super) fn feed(&mut self, resources: Vec<Resource>) {
        let Some(pages) = self.pages.take() else {
            return;
        };
        let feeder = tokio::spawn(async move {
            for page in resources.chunks(PAGE) {
                // A poll that ended early receives no more pages.
                if pages.send(Page::all(Arc::new(page.to_vec()))).await.is_err() {
                    return;
                }
            }
        });
        self.feeder = Some(feeder.abort_handle());
    }

    /// Waits for the end, or aborts the poll at its deadline as the engine does.
    pub(super) async fn end(mut self) -> Outcome {
        let ended = timeout_at(self.context.deadline, &mut self.poll).await;
        self.finish(ended.ok()).await
    }

    /// Cancels the poll and waits at most `patience` for it. Returns whether it ended in time.
    pub(super) async fn cancel(mut self, patience: Duration) -> (Outcome, bool) {
        self.context.cancellation.cancel();
        let ended = timeout_at(Instant::now() + patience, &mut self.poll).await.ok();
        let in_time = ended.is_some();
        (self.finish(ended).await, in_time)
    }

    async fn finish(self, ended: Option<Result<Result<(), Failure>, JoinError>>) -> Outcome {
        let mut error = None;
        let mut panic = None;
        match ended {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(failure))) => error = Some(failure),
            Some(Err(join)) => panic = Some(panic_text(join)),
            None => {
                error = Some(Failure::new(
                    FailureKind::Stopped,
                    "the poll did not end by its deadline",
                ));
                self.context.cancellation.cancel();
                self.poll.abort();
                // The run holds the sample sender, so it is dropped before the samples are collected.
                let _ = self.poll.await;
            }
        }
        if let Some(feeder) = self.feeder {
            feeder.abort();
        }
        let mut outcome = self.recorder.take();
        match self.samples.await {
            Ok(samples) => outcome.samples = samples,
            Err(join) => panic!("the kit's own task failed: {join}"),
        }
        let rest = self.output.take().into_iter();
        outcome.samples.extend(rest.flat_map(|batch| batch.samples));
        outcome.error = error;
        outcome.defects.extend(panic);
        outcome
    }
}

/// A discovery run in preparation.
#[must_use = "nothing runs until `list` is called"]
pub struct DiscoverySetup<'a> {
    kit: &'a Kit,
    plugin: Arc<DiscoveryDefinition>,
    parameter: Option<String>,
    cycle: CycleId,
    deadline: Duration,
    limit: usize,
    wanted: WantedMeters,
}

impl DiscoverySetup<'_> {
    /// Runs in the cycle with this number of the schedule `every:300:0`.
    pub fn cycle(self, number: i64) -> Self {
        self.cycle_id(cycle(number))
    }

    /// Runs in this cycle of any schedule.
    pub fn cycle_id(mut self, cycle: CycleId) -> Self {
        self.cycle = cycle;
        self
    }

    /// Sets the meters that pollsters collect; default: none.
    pub fn wanted<T: Into<Arc<str>>>(mut self, meters: impl IntoIterator<Item = T>) -> Self {
        self.wanted = Arc::new(meters.into_iter().map(Into::into).collect());
        self
    }

    /// Aborts the run after this time; default: 30 s.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = after;
        self
    }

    /// Ends the run after this many resources; default: 100,000.
    pub fn limit(mut self, resources: usize) -> Self {
        self.limit = resources;
        self
    }

    /// Runs the discovery.
    ///
    /// # Errors
    ///
    /// What ended the run early, including a panic and the deadline.
    ///
    /// # Panics
    ///
    /// When the discovery cannot be built.
    pub async fn list(self) -> Result<Vec<Resource>, Failure> {
        let discovery = match self.kit.build_discovery(&self.plugin) {
            Ok(discovery) => discovery,
            Err(error) => panic!("the discovery `{}` could not be built: {error}", self.plugin.name),
        };
        let context = self.kit.context(self.cycle, Instant::now() + self.deadline);
        list(discovery, self.parameter, context, self.wanted, self.limit).await
    }
}

/// Runs a discovery until it ends, returns `limit` resources, or reaches its deadline.
pub(super) async fn list(
    discovery: Arc<dyn Discovery>,
    parameter: Option<String>,
    context: PollContext,
    wanted: WantedMeters,
    limit: usize,
) -> Result<Vec<Resource>, Failure> {
    let (pages, mut received) = mpsc::channel(QUEUE);
    let deadline = context.deadline;
    let cancellation = context.cancellation.clone();
    let parts = DiscoveryRunParts::new(
        context.cycle,
        deadline,
        context.cancellation,
        context.cache,
        pages,
    );
    let mut run = DiscoveryRun::new(parts.parameter(parameter).members(context.members).wanted(wanted));
    let mut task = tokio::spawn(async move {
        let result = discovery.discover(&mut run).await;
        // The last page counts even if the run failed.
        let _ = run.flush().await;
        result
    });
    let mut resources = Vec::new();
    let enough = timeout_at(deadline, async {
        while let Some(page) = received.recv().await {
            resources.extend(page);
            if resources.len() >= limit {
                resources.truncate(limit);
                return true;
            }
        }
        false
    })
    .await;
    drop(received);
    if enough == Ok(true) {
        cancellation.cancel();
        task.abort();
        return Ok(resources);
    }
    match timeout_at(deadline, &mut task).await {
        Ok(Ok(result)) => result.map(|()| resources),
        Ok(Err(join)) => Err(Failure::new(FailureKind::Defect, panic_text(join))),
        Err(_) => {
            cancellation.cancel();
            task.abort();
            Err(Failure::new(
                FailureKind::Stopped,
                "the discovery run did not end by its deadline",
            ))
        }
    }
}

/// The cycle with this number of the schedule `every:300:0`.
pub(super) fn cycle(number: i64) -> CycleId {
    let start = Timestamp::from_millis(number.saturating_mul(INTERVAL_MILLIS));
    CycleId::new(ScheduleId::new("every:300:0"), start, number)
}

/// Splits a discovery URL into name and parameter, see [`DiscoveryRun::parameter`].
pub(super) fn split(url: &str) -> (&str, Option<String>) {
    match url.split_once(':') {
        None => (url, None),
        Some((name, rest)) => (name, Some(rest.strip_prefix("//").unwrap_or(rest).to_owned())),
    }
}

fn panic_text(join: JoinError) -> String {
    let Ok(payload) = join.try_into_panic() else {
        return "the plugin's task was aborted".to_owned();
    };
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the plugin panicked: {}", text.unwrap_or_default())
}
