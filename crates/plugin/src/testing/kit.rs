//! Builds the plugins of a family and runs them as the engine does.

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

/// How long a run may take unless the test says otherwise.
const DEADLINE: Duration = Duration::from_secs(30);

/// How many resources of a page a pollster gets: few, so that tests see more than one page.
const PAGE: usize = 100;

/// How many samples a batch holds.
const BATCH: usize = 50;

/// How many pages or batches may wait; small, so that a plugin is held back as in the agent.
const QUEUE: usize = 2;

/// A listing is cut off after this many resources, unless the test says otherwise.
const LISTING: usize = 100_000;

/// The interval of the schedule in milliseconds to which a cycle's number belongs.
const INTERVAL_MILLIS: i64 = 300_000;

/// The discoveries and pollsters of one family, as an agent with certain options would have them.
///
/// Each is built once, when it is first used: runs of one kit share its state as cycles of an agent do.
pub struct Kit {
    family: String,
    /// What the test's crate registers.
    linked: Catalog,
    /// With what the families make of their options.
    expanded: OnceLock<(Catalog, Vec<DefinitionProblem>)>,
    host: Arc<str>,
    members: NonZeroUsize,
    options: BTreeMap<String, serde_json::Value>,
    families: OnceLock<Families>,
    calls: CallCounts,
    blocking: BlockingPool,
    discoveries: Mutex<HashMap<String, Arc<dyn Discovery>>>,
    pollsters: Mutex<HashMap<String, Arc<dyn Pollster>>>,
    /// The cache of the cycle that ran last.
    cache: Mutex<Option<(CycleId, CycleCache)>>,
}

impl Kit {
    /// For the family of this name, which the test's crate (or one that it names) registers.
    pub fn new(family: &str) -> Self {
        match Catalog::collect() {
            Ok(catalog) => Self::of(catalog, family),
            Err(error) => panic!("the catalog is not consistent: {error}"),
        }
    }

    /// For a family of this catalog.
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

    /// The options that would stand under `plugins: {family: ...}`; nothing unless said.
    #[must_use]
    pub fn options(self, options: serde_json::Value) -> Self {
        let family = self.family.clone();
        self.options_of(&family, options)
    }

    /// The options of another family that this one uses ([`BuildContext::family`]); nothing unless said.
    #[must_use]
    pub fn options_of(mut self, family: &str, options: serde_json::Value) -> Self {
        self.options.insert(family.to_owned(), options);
        self
    }

    /// Everything that an agent with these options could load: what the family makes of its options and files too.
    pub fn catalog(&self) -> &Catalog {
        &self.expanded().0
    }

    /// What is wrong with the definitions that the families make of their options and files.
    pub fn problems(&self) -> &[DefinitionProblem] {
        &self.expanded().1
    }

    fn expanded(&self) -> &(Catalog, Vec<DefinitionProblem>) {
        self.expanded.get_or_init(|| {
            // The family's name among the namespaces enables it.
            let namespaces = [self.family.clone()];
            let expanded = self
                .linked
                .expand(&ExpandRequest::new(&self.options, &namespaces));
            (expanded.catalog, expanded.problems)
        })
    }

    /// What the family's plugins have called so far.
    pub fn calls(&self) -> &CallCounts {
        &self.calls
    }

    /// The agent's host name; `node1` unless said.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    /// How many agents share the resources; 1 unless said.
    #[must_use]
    pub fn members(mut self, members: NonZeroUsize) -> Self {
        self.members = members;
        self
    }

    /// A run of the pollster of this name: over no resources, with all meters wanted, in cycle 1, until
    /// the test says otherwise.
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
                "no pollster `{name}` of the family `{}` is registered; there are {known:?}{}",
                self.family,
                self.problem_text()
            );
        };
        PollSetup {
            kit: self,
            plugin: plugin.clone(),
            resources: Vec::new(),
            listing: None,
            wanted: None,
            cycle: cycle(1),
            deadline: DEADLINE,
        }
    }

    /// A listing of this discovery URL, in cycle 1 until the test says otherwise.
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
                "no discovery `{name}` of the family `{}` is registered; there are {known:?}{}",
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
            at_most: LISTING,
            wanted: WantedMeters::default(),
        }
    }

    /// The family itself.
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

/// A run of a pollster that is being set up.
#[must_use = "nothing runs until `poll`"]
pub struct PollSetup<'a> {
    kit: &'a Kit,
    plugin: Arc<PollsterDefinition>,
    resources: Vec<Resource>,
    listing: Option<String>,
    wanted: Option<Vec<String>>,
    cycle: CycleId,
    deadline: Duration,
}

impl PollSetup<'_> {
    /// Polls these resources, as if they stood in a `resources:` list.
    pub fn resources<T: AsRef<str>>(mut self, keys: impl IntoIterator<Item = T>) -> Self {
        self.resources
            .extend(keys.into_iter().map(|key| Resource::new(key.as_ref())));
        self
    }

    /// Polls these resources, for example those that a test made with a body of its own.
    pub fn found(mut self, resources: impl IntoIterator<Item = Resource>) -> Self {
        self.resources.extend(resources);
        self
    }

    /// Polls what this discovery of the family lists in the same cycle.
    pub fn resources_from(mut self, url: &str) -> Self {
        self.listing = Some(url.to_owned());
        self
    }

    /// Wants samples of these meters only.
    pub fn wanted<T: Into<String>>(mut self, meters: impl IntoIterator<Item = T>) -> Self {
        self.wanted = Some(meters.into_iter().map(Into::into).collect());
        self
    }

    /// Runs in the cycle of this number of the schedule `every:300:0`.
    pub fn cycle(mut self, number: i64) -> Self {
        self.cycle = cycle(number);
        self
    }

    /// Runs in this cycle, of any schedule.
    pub fn cycle_id(mut self, cycle: CycleId) -> Self {
        self.cycle = cycle;
        self
    }

    /// Cuts the poll off after this time; 30 s unless said.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = after;
        self
    }

    /// Runs the poll.
    ///
    /// # Panics
    ///
    /// When the pollster cannot be built, or the listing of [`PollSetup::resources_from`] fails.
    pub async fn poll(self) -> Outcome {
        let kit = self.kit;
        let mut resources = self.resources;
        let listing = self.listing.as_deref();
        if let Some(url) = listing {
            let meters = self.plugin.meters.iter().map(|meter| &*meter.name);
            let is_wanted = |name: &&str| {
                let wanted = self.wanted.as_ref();
                wanted.is_none_or(|wanted| wanted.iter().any(|meter| meter == name))
            };
            let listing = kit.discovery(url).cycle_id(self.cycle.clone());
            match listing.wanted(meters.filter(is_wanted)).list().await {
                Ok(found) => resources.extend(found),
                Err(failure) => panic!("the listing `{url}` failed: {}", failure.chain()),
            }
        }
        let pollster = match kit.build_pollster(&self.plugin) {
            Ok(pollster) => pollster,
            Err(error) => panic!("the pollster `{}` could not be built: {error}", self.plugin.name),
        };
        let scope = listing
            .or(self.plugin.default_discovery.as_deref())
            .and_then(|url| kit.find_discovery(split(url).0))
            .map(|discovery| discovery.scope);
        let mut started = Started::begin(
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

/// A poll under way; what the conformance check steers by hand.
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
    /// Starts the pollster; it has no resources yet.
    pub(super) fn begin(
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

    /// Gives the poll all its resources.
    pub(super) fn feed(&mut self, resources: Vec<Resource>) {
        let Some(pages) = self.pages.take() else {
            return;
        };
        let feeder = tokio::spawn(async move {
            for page in resources.chunks(PAGE) {
                // A poll that ended early wants no more.
                if pages.send(Page::all(Arc::new(page.to_vec()))).await.is_err() {
                    return;
                }
            }
        });
        self.feeder = Some(feeder.abort_handle());
    }

    /// Waits for the end, or cuts the poll off at its deadline as the engine does.
    pub(super) async fn end(mut self) -> Outcome {
        let ended = timeout_at(self.context.deadline, &mut self.poll).await;
        self.finish(ended.ok()).await
    }

    /// Cancels the poll and waits for it at most `patience`; without an error when it ended by itself.
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
                // The run, and with it the way of the samples, is gone when the task is.
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

/// A listing that is being set up.
#[must_use = "nothing runs until `list`"]
pub struct DiscoverySetup<'a> {
    kit: &'a Kit,
    plugin: Arc<DiscoveryDefinition>,
    parameter: Option<String>,
    cycle: CycleId,
    deadline: Duration,
    at_most: usize,
    wanted: WantedMeters,
}

impl DiscoverySetup<'_> {
    /// Lists in the cycle of this number of the schedule `every:300:0`.
    pub fn cycle(self, number: i64) -> Self {
        self.cycle_id(cycle(number))
    }

    /// Lists in this cycle, of any schedule.
    pub fn cycle_id(mut self, cycle: CycleId) -> Self {
        self.cycle = cycle;
        self
    }

    /// Lists for pollsters that want these meters; none unless said.
    pub fn wanted<T: Into<Arc<str>>>(mut self, meters: impl IntoIterator<Item = T>) -> Self {
        self.wanted = Arc::new(meters.into_iter().map(Into::into).collect());
        self
    }

    /// Cuts the listing off after this time; 30 s unless said.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = after;
        self
    }

    /// Takes this many resources and then wants no more; 100,000 unless said.
    pub fn at_most(mut self, resources: usize) -> Self {
        self.at_most = resources;
        self
    }

    /// Runs the listing.
    ///
    /// # Errors
    ///
    /// What ended the listing early; a panic and the deadline too.
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
        list(discovery, self.parameter, context, self.wanted, self.at_most).await
    }
}

/// Runs a listing until it ends, `at_most` resources came, or the deadline.
pub(super) async fn list(
    discovery: Arc<dyn Discovery>,
    parameter: Option<String>,
    context: PollContext,
    wanted: WantedMeters,
    at_most: usize,
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
    let mut listing = tokio::spawn(async move {
        let result = discovery.discover(&mut run).await;
        // The last page counts whatever ended the listing.
        let _ = run.flush().await;
        result
    });
    let mut resources = Vec::new();
    let enough = timeout_at(deadline, async {
        while let Some(page) = received.recv().await {
            resources.extend(page);
            if resources.len() >= at_most {
                resources.truncate(at_most);
                return true;
            }
        }
        false
    })
    .await;
    drop(received);
    if enough == Ok(true) {
        cancellation.cancel();
        listing.abort();
        return Ok(resources);
    }
    match timeout_at(deadline, &mut listing).await {
        Ok(Ok(result)) => result.map(|()| resources),
        Ok(Err(join)) => Err(Failure::new(FailureKind::Defect, panic_text(join))),
        Err(_) => {
            cancellation.cancel();
            listing.abort();
            Err(Failure::new(
                FailureKind::Stopped,
                "the listing did not end by its deadline",
            ))
        }
    }
}

/// The cycle of this number of the schedule `every:300:0`.
pub(super) fn cycle(number: i64) -> CycleId {
    let start = Timestamp::from_millis(number.saturating_mul(INTERVAL_MILLIS));
    CycleId::new(ScheduleId::new("every:300:0"), start, number)
}

/// Name and parameter of a discovery URL, as [`DiscoveryRun::parameter`] describes them.
pub(super) fn split(url: &str) -> (&str, Option<String>) {
    match url.split_once(':') {
        None => (url, None),
        Some((name, rest)) => (name, Some(rest.strip_prefix("//").unwrap_or(rest).to_owned())),
    }
}

fn panic_text(join: JoinError) -> String {
    let Ok(payload) = join.try_into_panic() else {
        return "the plugin's task was ended by somebody else".to_owned();
    };
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the plugin panicked: {}", text.unwrap_or_default())
}
