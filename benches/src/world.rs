//! The surroundings of an engine: two runtimes, the plugins, a notifier.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Coordinator;
use nephoscope_notifier::{Notifier, NotifierOptions, PublisherSetup, Selectors};
use nephoscope_plugin::{BlockingPool, Catalog, Publisher, PublisherContext};
use nephoscope_polling::clock::SystemClock;
use nephoscope_polling::engine::{EngineOptions, EngineParts};
use nephoscope_polling::limits::LimitOptions;
use nephoscope_polling::plugins::{LoadRequest, Plugins};
use nephoscope_sources::{DiscoveryUrl, MeterFilter, Position, Schedule, Source, StaticResource};
use tokio::runtime::{Builder, Runtime};

use crate::error::{BenchError, Context};
// Linked for their registrations.
use {nephoscope_amqp as _, nephoscope_file as _, nephoscope_synthetic as _};

/// The maximum number of threads of the engine's runtime, as in the program.
const CORE_THREADS: usize = 2;

/// The minimum number of threads of the plugins' runtime, as in the program.
const PLUGIN_THREADS: usize = 4;

/// The default of `notifier.batch_size`.
const BATCH_SIZE: usize = 50;

/// The runtimes of a program.
pub(crate) struct World {
    pub(crate) core: Runtime,
    plugins: Runtime,
}

impl World {
    pub(crate) fn new() -> Result<Self, BenchError> {
        let build = |name: &str, threads| {
            Builder::new_multi_thread()
                .worker_threads(threads)
                .thread_name(name)
                .enable_all()
                .build()
        };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            core: build("core", CORE_THREADS.min(cpus)).context("start the engine's runtime")?,
            plugins: build("plugins", PLUGIN_THREADS.max(cpus)).context("start the plugins' runtime")?,
        })
    }

    pub(crate) fn parts(&self, coordinator: Arc<dyn Coordinator>, notifier: Notifier) -> EngineParts {
        EngineParts {
            clock: Arc::new(SystemClock),
            coordinator,
            notifier,
            runtime: self.core.handle().clone(),
            plugin_runtime: self.plugins.handle().clone(),
        }
    }

    /// Returns a notifier with one publisher.
    pub(crate) fn notifier(&self, publisher: Arc<dyn Publisher>) -> Notifier {
        self.notifier_of(vec![(publisher, nephoscope_notifier::DEFAULT_QUEUE)])
    }

    /// Returns a notifier with these publishers, each with its queue limit in samples.
    pub(crate) fn notifier_of(&self, publishers: Vec<(Arc<dyn Publisher>, usize)>) -> Notifier {
        let setup = |(index, (publisher, queue)): (usize, (Arc<dyn Publisher>, usize))| PublisherSetup {
            name: format!("bench-{index}").into(),
            url_shown: "bench:".to_owned(),
            publisher,
            queue,
            spool: None,
            selectors: Selectors::default(),
        };
        let setups = publishers.into_iter().enumerate().map(setup).collect();
        Notifier::start(setups, NotifierOptions::default(), self.core.handle())
    }

    /// Returns the publisher of a URL.
    pub(crate) fn publisher(&self, url: &str) -> Result<Arc<dyn Publisher>, BenchError> {
        self.publisher_with(url, serde_json::Value::Null)
    }

    /// Returns the publisher of a URL, with options.
    pub(crate) fn publisher_with(
        &self,
        url: &str,
        options: serde_json::Value,
    ) -> Result<Arc<dyn Publisher>, BenchError> {
        let _inside = self.core.enter();
        let scheme = url.split(':').next().unwrap_or_default();
        let catalog = Catalog::collect().context("collect the plugins")?;
        let plugin = catalog
            .publisher(scheme)
            .ok_or_else(|| BenchError::new(format!("no publisher serves `{scheme}:`")))?;
        let context = PublisherContext::new("bench".into(), url.to_owned(), options, BlockingPool::default());
        (plugin.build)(&context).context("create the publisher")
    }
}

/// The program's default options, without a state folder.
pub(crate) fn engine_options() -> EngineOptions {
    EngineOptions {
        agent_id: "bench".into(),
        host: "bench".into(),
        sample_source: "bench".into(),
        batch_size: BATCH_SIZE,
        flush_interval: Duration::from_secs(1),
        limits: LimitOptions::default(),
        splay: false,
        shared_in_progress: false,
        state_dir: None,
    }
}

/// Loads the plugin family `synthetic`.
pub(crate) fn synthetic() -> Result<Plugins, BenchError> {
    let catalog = Catalog::collect().context("collect the plugins")?;
    let request = LoadRequest {
        catalog: &catalog,
        namespaces: &["synthetic".to_owned()],
        options: &BTreeMap::new(),
        host: "bench".into(),
        before: None,
    };
    Plugins::load(&request).context("load the plugins")
}

/// Returns a source of three meters of synthetic resources.
pub(crate) fn synthetic_source(resources: usize) -> Result<Source, BenchError> {
    let mut source = source(
        "synthetic",
        hourly()?,
        ["synthetic.cycle", "synthetic.counter", "synthetic.wave"],
    )?;
    source.discovery = vec![DiscoveryUrl::parse(&format!("synthetic://{resources}"))];
    Ok(source)
}

/// Returns a source of one static resource.
pub(crate) fn static_source(schedule: Schedule, meter: &str) -> Result<Source, BenchError> {
    let mut source = source(meter, schedule, [meter])?;
    source.resources = vec![StaticResource::new("one".into())];
    Ok(source)
}

fn source<'a>(
    name: &str,
    schedule: Schedule,
    meters: impl IntoIterator<Item = &'a str>,
) -> Result<Source, BenchError> {
    Ok(Source {
        name: name.to_owned(),
        schedule,
        meters: MeterFilter::new(meters).context("read the meters")?,
        resources: Vec::new(),
        discovery: Vec::new(),
        partition: None,
        timeout: None,
        position: Position {
            file: Arc::default(),
            line: 1,
        },
    })
}

/// For cycles that the benchmark starts itself: the deadline is far.
fn hourly() -> Result<Schedule, BenchError> {
    every(3600, 0)
}

/// Returns a schedule with this interval and offset in seconds.
pub(crate) fn every(interval: u64, offset: u64) -> Result<Schedule, BenchError> {
    Schedule::every(Duration::from_secs(interval), Duration::from_secs(offset)).context("create a schedule")
}
