//! An engine with test doubles: a steppable clock, plugins made of closures, and a publisher that stores its samples.

#![allow(
    dead_code,
    missing_docs,
    reason = "each test program uses only a part of this module"
)]

pub(crate) mod pool;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use nephoscope_coordination::{Coordinator, Local};
use nephoscope_model::{Batch, Meter, MeterDef, Resource, Sample, Subject, Timestamp};
use nephoscope_notifier::{Notifier, NotifierOptions, PublisherSetup, Selectors};
use nephoscope_plugin::{
    Accepted, Discovery, DiscoveryRun, Failure, PartitionMode, PollRun, Pollster, PublishError, Publisher,
    Scope, async_trait,
};
use nephoscope_polling::clock::SimulatedClock;
use nephoscope_polling::engine::{Engine, EngineOptions, EngineParts};
use nephoscope_polling::limits::LimitOptions;
use nephoscope_polling::plugins::{LoadedDiscovery, LoadedPollster, Plugins};
use nephoscope_polling::record::CycleRecord;
use nephoscope_polling::ticker::{IntervalTicker, Ticker};
use nephoscope_sources::{DiscoveryUrl, MeterFilter, Position, Schedule, Source, StaticResource};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout};

/// 2026-01-02T03:00:00Z: an edge of every schedule that tests use.
pub(crate) const EDGE: i64 = 1_767_322_800;

/// How long a test waits for an expected event, on the paused clock.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

pub(crate) fn at(seconds: f64) -> Timestamp {
    Timestamp::from_micros(EDGE * 1_000_000 + (seconds * 1e6) as i64)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

type PollFn = Arc<dyn for<'a> Fn(&'a mut PollRun) -> BoxFuture<'a, Result<(), Failure>> + Send + Sync>;
type DiscoverFn =
    Arc<dyn for<'a> Fn(&'a mut DiscoveryRun) -> BoxFuture<'a, Result<(), Failure>> + Send + Sync>;

struct PollDouble(PollFn);

#[async_trait]
impl Pollster for PollDouble {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        (self.0)(run).await
    }
}

struct DiscoveryDouble(DiscoverFn);

#[async_trait]
impl Discovery for DiscoveryDouble {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        (self.0)(run).await
    }
}

/// A publisher that stores its samples, after a delay.
#[derive(Default)]
pub(crate) struct StoringPublisher(pub(crate) Mutex<Vec<Sample>>, pub(crate) Duration);

#[async_trait]
impl Publisher for StoringPublisher {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        tokio::time::sleep(self.1).await;
        self.0.lock().extend_from_slice(batch.samples());
        Ok(Accepted::all())
    }
}

/// Plugins made of closures.
#[derive(Default)]
pub(crate) struct Doubles(pub Plugins);

impl Doubles {
    pub(crate) fn discovery(
        mut self,
        name: &str,
        scope: Scope,
        discover: impl for<'a> Fn(&'a mut DiscoveryRun) -> BoxFuture<'a, Result<(), Failure>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let name: Arc<str> = name.into();
        let plugin = Arc::new(DiscoveryDouble(Arc::new(discover)));
        let loaded = LoadedDiscovery {
            name: name.clone(),
            scope,
            partition: PartitionMode::Resource,
            calls: Arc::default(),
            plugin,
        };
        self.0.discoveries.insert(name, Arc::new(loaded));
        self
    }

    /// Adds a discovery that lists these keys.
    pub(crate) fn fixed_discovery(self, name: &str, scope: Scope, keys: &[&str]) -> Self {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        self.discovery(name, scope, move |run| {
            let page = keys.iter().map(|key| Resource::new(key.as_str())).collect();
            Box::pin(async move { Ok(run.send(page).await?) })
        })
    }

    pub(crate) fn pollster(
        mut self,
        name: &str,
        meters: &[&'static str],
        default_discovery: Option<&str>,
        poll: impl for<'a> Fn(&'a mut PollRun) -> BoxFuture<'a, Result<(), Failure>> + Send + Sync + 'static,
    ) -> Self {
        self.0.pollsters.push(Arc::new(LoadedPollster {
            name: name.into(),
            namespaces: Arc::default(),
            meters: meters
                .iter()
                .map(|name| Arc::new(Meter::from(&MeterDef::gauge(name, "unit", "a double"))))
                .collect(),
            default_discovery: default_discovery.map(Arc::from),
            partition: None,
            endpoint: None,
            calls: Arc::default(),
            plugin: Arc::new(PollDouble(Arc::new(poll))),
            names: None,
        }));
        self
    }

    /// Adds a pollster that reports one sample of each collected meter for each resource.
    pub(crate) fn healthy(
        self,
        name: &str,
        meters: &[&'static str],
        default_discovery: Option<&str>,
    ) -> Self {
        let names = meters.to_vec();
        self.pollster(name, meters, default_discovery, move |run| {
            let names = names.clone();
            Box::pin(async move { measure(run, &names).await })
        })
    }
}

/// Reports one sample of each collected meter for each resource; the value is the cycle's number.
pub(crate) async fn measure(run: &mut PollRun, meters: &[&'static str]) -> Result<(), Failure> {
    let number = run.cycle().number;
    while let Some(page) = run.next_page().await {
        for resource in page.iter() {
            let subject = Subject::new(resource.key().clone()).shared();
            let mut report = run.report(resource);
            for meter in meters {
                report.add(meter, &subject, number);
            }
            report.send().await?;
        }
    }
    Ok(())
}

/// A source as in a configuration file.
#[derive(Clone)]
pub(crate) struct SourceText {
    pub(crate) source: Source,
}

pub(crate) fn source(name: &str, interval: u64, meters: &[&str]) -> SourceText {
    SourceText {
        source: Source {
            name: name.into(),
            schedule: Schedule::every(secs(interval), Duration::ZERO).unwrap(),
            meters: MeterFilter::new(meters.iter().copied()).unwrap(),
            resources: Vec::new(),
            discovery: Vec::new(),
            partition: None,
            timeout: None,
            position: Position {
                file: Arc::new(PathBuf::from("polling.yaml")),
                line: 1,
            },
        },
    }
}

impl SourceText {
    pub(crate) fn resources(mut self, keys: &[&str]) -> Self {
        self.source.resources = keys
            .iter()
            .map(|key| StaticResource::new((*key).into()))
            .collect();
        self
    }

    pub(crate) fn discovery(mut self, urls: &[&str]) -> Self {
        self.source.discovery = urls.iter().map(|url| DiscoveryUrl::parse(url)).collect();
        self
    }

    pub(crate) fn timeout(mut self, seconds: u64) -> Self {
        self.source.timeout = Some(secs(seconds));
        self
    }

    pub(crate) fn partition(mut self, mode: PartitionMode) -> Self {
        self.source.partition = Some(mode);
        self
    }
}

/// An engine on a steppable clock.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) clock: SimulatedClock,
    pub(crate) notifier: Notifier,
    pub(crate) stored: Arc<StoringPublisher>,
    pub(crate) records: broadcast::Receiver<Arc<CycleRecord>>,
    options: EngineOptions,
    parts: EngineParts,
}

pub(crate) struct BenchOptions {
    /// The wall clock at the start, in seconds after the edge.
    pub(crate) start: f64,
    pub(crate) coordinator: Arc<dyn Coordinator>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) splay: bool,
    pub(crate) limits: LimitOptions,
    pub(crate) shared_in_progress: bool,
    /// The publisher's queue in samples, and its time per batch.
    pub(crate) queue: usize,
    pub(crate) publish: Duration,
    /// Further publishers.
    pub(crate) publishers: Vec<PublisherSetup>,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            // Just after the middle of a cycle of 10 s, so that no cycle is in progress.
            start: -4.0,
            coordinator: Arc::new(Local),
            state_dir: None,
            splay: false,
            limits: LimitOptions::default(),
            shared_in_progress: true,
            queue: 10_000_000,
            publish: Duration::ZERO,
            publishers: Vec::new(),
        }
    }
}

impl Bench {
    pub(crate) fn new(options: BenchOptions) -> Self {
        Self::with_ticker(IntervalTicker::default(), options)
    }

    pub(crate) fn with_ticker(ticker: impl Ticker, options: BenchOptions) -> Self {
        let clock = SimulatedClock::new(at(options.start));
        let stored = Arc::new(StoringPublisher(Mutex::default(), options.publish));
        let runtime = tokio::runtime::Handle::current();
        let setup = PublisherSetup {
            name: "stored".into(),
            url_shown: "stored:".into(),
            publisher: stored.clone(),
            queue: options.queue,
            spool: None,
            selectors: Selectors::default(),
        };
        let setups = std::iter::once(setup).chain(options.publishers).collect();
        let notifier = Notifier::start(setups, NotifierOptions::default(), &runtime);
        let engine_options = EngineOptions {
            agent_id: "agent-1".into(),
            host: "node1".into(),
            sample_source: "openstack".into(),
            batch_size: 50,
            flush_interval: Duration::from_secs(1),
            limits: options.limits,
            splay: options.splay,
            shared_in_progress: options.shared_in_progress,
            state_dir: options.state_dir,
        };
        let parts = EngineParts {
            clock: Arc::new(clock.clone()),
            coordinator: options.coordinator,
            notifier: notifier.clone(),
            runtime: runtime.clone(),
            plugin_runtime: runtime,
        };
        let engine = Engine::start(engine_options.clone(), parts.clone(), ticker);
        let records = engine.watch();
        Self {
            engine,
            clock,
            notifier,
            stored,
            records,
            options: engine_options,
            parts,
        }
    }

    /// The options and parts of the engine, for work outside it.
    pub(crate) fn options_and_parts(&self) -> (&EngineOptions, EngineParts) {
        (&self.options, self.parts.clone())
    }

    pub(crate) async fn apply(&self, plugins: &Arc<Plugins>, sources: impl IntoIterator<Item = SourceText>) {
        let sources: Vec<_> = sources.into_iter().map(|source| source.source).collect();
        self.engine.apply(&sources, plugins.clone()).await;
    }

    /// Waits for the next record of a cycle.
    pub(crate) async fn cycle(&mut self) -> Arc<CycleRecord> {
        loop {
            match timeout(PATIENCE, self.records.recv())
                .await
                .expect("a cycle ends")
            {
                Ok(record) => return record,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => panic!("the engine was dropped"),
            }
        }
    }

    /// Returns the starts of the next `count` cycles of any schedule, in seconds after the edge.
    pub(crate) async fn starts(&mut self, count: usize) -> Vec<i64> {
        let mut starts = Vec::new();
        for _ in 0..count {
            starts.push(start_of(&*self.cycle().await));
        }
        starts
    }

    /// Waits for delivery and returns all samples as (meter, resource id, value), sorted.
    pub(crate) async fn samples(&self) -> Vec<(String, String, i64)> {
        self.delivered().await;
        let mut samples: Vec<_> = self
            .stored
            .0
            .lock()
            .iter()
            .map(|sample| {
                let name = sample.meter.published_name.to_string();
                (
                    name,
                    sample.subject.resource_id.to_string(),
                    sample.volume.as_f64() as i64,
                )
            })
            .collect();
        samples.sort();
        samples
    }

    pub(crate) async fn delivered(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self
            .notifier
            .status()
            .iter()
            .any(|status| status.queued_samples > 0)
        {
            assert!(Instant::now() < deadline, "the publisher accepts all samples");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The number of delivered samples of each meter.
    pub(crate) async fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (meter, _, _) in self.samples().await {
            *counts.entry(meter).or_insert(0) += 1;
        }
        counts
    }
}

pub(crate) fn start_of(record: &CycleRecord) -> i64 {
    record.cycle.start.as_millis() / 1000 - EDGE
}
