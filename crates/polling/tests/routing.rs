//! Publishers receive the samples of the sources that they select, and track runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Bench, BenchOptions, Doubles, SourceText, measure, source};
use nephoscope_model::{Batch, Run, Subject};
use nephoscope_notifier::{PublisherSetup, Selectors};
use nephoscope_plugin::{
    Accepted, Failure, FailureKind, PublishError, Publisher, RunEnd, Scope, async_trait,
};
use parking_lot::Mutex;

/// Records the resources of each meter that it receives, and the runs that it tracks.
#[derive(Default)]
struct RecordingPublisher {
    follows: bool,
    samples: Mutex<Vec<String>>,
    events: Mutex<Vec<String>>,
}

#[async_trait]
impl Publisher for RecordingPublisher {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        let mut samples = self.samples.lock();
        assert!(batch.run().is_some());
        let texts = batch.samples().iter();
        samples.extend(texts.map(|sample| format!("{} {}", sample.meter.name, sample.subject.resource_id)));
        if self.follows {
            let resources = batch.resources().iter();
            let resources: Vec<_> = resources.map(|of| format!("{}:{}", of.key, of.samples)).collect();
            self.events.lock().push(resources.join(" "));
        } else {
            assert!(batch.resources().is_empty());
        }
        Ok(Accepted::all())
    }

    fn follows_runs(&self) -> bool {
        self.follows
    }

    fn run_started(&self, run: &Arc<Run>, owns: &dyn Fn(&str) -> bool) {
        let owned: String = ["x", "y", "z"].into_iter().filter(|key| owns(key)).collect();
        let sources = run.sources.join("+");
        let event = format!("started {} {sources} {:?} {owned}", run.pollster, run.interval);
        self.events.lock().push(event);
    }

    async fn run_ended(&self, run: &Arc<Run>, end: &RunEnd) {
        let failed: Vec<_> = end
            .failed
            .iter()
            .map(|failed| format!("{}:{}", failed.key, failed.kind.as_str()))
            .collect();
        let event = format!("ended {} {:?} {}", run.pollster, end.outcome, failed.join(" "));
        self.events.lock().push(event);
    }
}

fn setup(name: &str, publisher: &Arc<RecordingPublisher>, selectors: Selectors) -> PublisherSetup {
    PublisherSetup {
        name: name.into(),
        url_shown: "test:".into(),
        publisher: publisher.clone(),
        queue: 10_000,
        spool: None,
        selectors,
    }
}

/// Publishers for the samples of source `a`, of all sources, and of source `b`.
struct Three {
    a: Arc<RecordingPublisher>,
    all: Arc<RecordingPublisher>,
    b: Arc<RecordingPublisher>,
}

impl Three {
    fn new() -> Self {
        let [a, all, b] = [(); 3].map(|()| Arc::new(RecordingPublisher::default()));
        Self { a, all, b }
    }

    fn bench(&self) -> Bench {
        Bench::new(BenchOptions {
            publishers: vec![
                setup("a", &self.a, Selectors::default().sources(["a"])),
                setup("all", &self.all, Selectors::default()),
                setup("b", &self.b, Selectors::default().sources(["b"])),
            ],
            ..BenchOptions::default()
        })
    }

    fn samples(&self) -> [Vec<String>; 3] {
        [&self.a, &self.all, &self.b].map(|publisher| {
            let mut samples = std::mem::take(&mut *publisher.samples.lock());
            samples.sort();
            samples
        })
    }
}

/// How often each resource was polled.
type Polled = Arc<Mutex<BTreeMap<String, usize>>>;

/// A pollster that counts its resources, and three discoveries.
fn doubles(meters: &'static [&'static str]) -> (Doubles, Polled) {
    let polled = Polled::default();
    let count = polled.clone();
    let doubles = Doubles::default()
        .fixed_discovery("left", Scope::Host, &["x", "y"])
        .fixed_discovery("right", Scope::Host, &["y", "z"])
        .fixed_discovery("default", Scope::Host, &["d"])
        .pollster("p", meters, Some("default"), move |run| {
            let count = count.clone();
            Box::pin(async move {
                while let Some(page) = run.next_page().await {
                    for resource in page.iter() {
                        *count.lock().entry(resource.key().to_string()).or_insert(0) += 1;
                        let subject = Subject::new(resource.key().clone()).shared();
                        let mut report = run.report(resource);
                        for meter in meters {
                            report.add(meter, &subject, 1);
                        }
                        report.send().await?;
                    }
                }
                Ok(())
            })
        });
    (doubles, polled)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn one_cycle(bench: &mut Bench, doubles: Doubles, sources: impl IntoIterator<Item = SourceText>) {
    bench.apply(&Arc::new(doubles.0), sources).await;
    bench.cycle().await;
    bench.delivered().await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_is_polled_once_for_all_publishers_that_select_it() {
    let three = Three::new();
    let mut bench = three.bench();
    let (doubles, polled) = doubles(&["m"]);
    let sources = [
        source("a", 10, &["m"]).discovery(&["left"]),
        source("b", 10, &["m"]).discovery(&["right"]),
    ];
    one_cycle(&mut bench, doubles, sources).await;
    let [a, all, b] = three.samples();
    assert_eq!(a, texts(&["m x", "m y"]));
    assert_eq!(all, texts(&["m x", "m y", "m z"]));
    assert_eq!(b, texts(&["m y", "m z"]));
    let polled = polled.lock().clone();
    assert_eq!(polled, ["x", "y", "z"].map(|key| (key.to_owned(), 1)).into());
    assert_eq!(bench.notifier.filtered(), 0);
}

#[tokio::test(start_paused = true)]
async fn sources_with_different_meters_of_the_same_resources_are_separated() {
    let three = Three::new();
    let mut bench = three.bench();
    let (doubles, _) = doubles(&["m", "n"]);
    let sources = [
        source("a", 10, &["m", "n"]).discovery(&["left"]),
        source("b", 10, &["m"]).discovery(&["left"]),
        // No publisher selects this source.
        source("c", 10, &["n"]).discovery(&["left"]),
    ];
    one_cycle(&mut bench, doubles, sources).await;
    let [a, all, b] = three.samples();
    assert_eq!(a, texts(&["m x", "m y", "n x", "n y"]));
    assert_eq!(all, a);
    assert_eq!(b, texts(&["m x", "m y"]));
}

#[tokio::test(start_paused = true)]
async fn an_empty_discovery_uses_the_fallback_only_for_its_own_source() {
    let three = Three::new();
    let mut bench = three.bench();
    let (doubles, polled) = doubles(&["m"]);
    let doubles = doubles.fixed_discovery("empty", Scope::Host, &[]);
    let sources = [
        source("a", 10, &["m"]).discovery(&["empty"]),
        source("b", 10, &["m"])
            .discovery(&["left"])
            .resources(&["d", "d"]),
    ];
    one_cycle(&mut bench, doubles, sources).await;
    let [a, all, b] = three.samples();
    assert_eq!(a, texts(&["m d"]));
    assert_eq!(all, texts(&["m d", "m x", "m y"]));
    assert_eq!(b, all);
    assert_eq!(polled.lock().values().sum::<usize>(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_source_selections_the_runs_do_not_change() {
    let mut bench = Bench::new(BenchOptions::default());
    let (doubles, _) = doubles(&["m", "n"]);
    let sources = [
        source("a", 10, &["m", "n"]).discovery(&["left"]),
        source("b", 10, &["m"]).discovery(&["left"]),
    ];
    one_cycle(&mut bench, doubles, sources).await;
    let tasks = bench.engine.tasks();
    assert_eq!(tasks[0].runs.len(), 1);
}

fn tracking() -> (Arc<RecordingPublisher>, Bench) {
    let publisher = Arc::new(RecordingPublisher {
        follows: true,
        ..RecordingPublisher::default()
    });
    let bench = Bench::new(BenchOptions {
        publishers: vec![setup("tracker", &publisher, Selectors::default())],
        ..BenchOptions::default()
    });
    (publisher, bench)
}

/// The events of a tracking publisher in the first cycle.
async fn events_of(doubles: Doubles, sources: Vec<SourceText>) -> Vec<String> {
    let (publisher, mut bench) = tracking();
    one_cycle(&mut bench, doubles, sources).await;
    // The end of a run follows its batches.
    tokio::time::sleep(Duration::from_millis(100)).await;
    std::mem::take(&mut *publisher.events.lock())
}

#[tokio::test(start_paused = true)]
async fn a_run_that_measured_everything_is_complete() {
    let (doubles, _) = doubles(&["m", "n"]);
    let sources = vec![
        source("a", 10, &["*"]).discovery(&["left"]),
        source("b", 10, &["*"]).discovery(&["left"]),
    ];
    assert_eq!(
        events_of(doubles, sources).await,
        ["started p a+b 10s xyz", "x:2 y:2", "ended p Complete "]
    );
}

#[tokio::test(start_paused = true)]
async fn a_report_that_two_batches_share_is_in_both() {
    let doubles = Doubles::default()
        .fixed_discovery("left", Scope::Host, &["x", "y"])
        .pollster("p", &["m"], Some("left"), |run| {
            Box::pin(async move {
                while let Some(page) = run.next_page().await {
                    for resource in page.iter() {
                        let mut report = run.report(resource);
                        for part in 0..30 {
                            let subject = Subject::new(format!("{}-{part}", resource.key())).shared();
                            report.add("m", &subject, 1);
                        }
                        report.send().await?;
                    }
                }
                Ok(())
            })
        });
    let events = events_of(doubles, vec![source("a", 10, &["*"])]).await;
    assert_eq!(events[1..3], ["x:30 y:20", "y:10"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_discovery_run_is_complete_and_a_failed_one_is_not() {
    let empty = Doubles::default()
        .fixed_discovery("nothing", Scope::Host, &[])
        .healthy("p", &["m"], Some("nothing"));
    let events = events_of(empty, vec![source("a", 10, &["m"])]).await;
    assert_eq!(events[1..], ["ended p Complete "]);
    let failing = Doubles::default()
        .discovery("half", Scope::Host, |run| {
            Box::pin(async move {
                run.send(vec![nephoscope_model::Resource::new("x")]).await?;
                Err(Failure::transient("partial failure"))
            })
        })
        .healthy("p", &["m"], Some("half"));
    let events = events_of(failing, vec![source("a", 10, &["m"])]).await;
    assert_eq!(events[1..], ["x:1", "ended p Partial "]);
}

#[tokio::test(start_paused = true)]
async fn failed_resources_and_runs_are_reported() {
    let doubles = Doubles::default()
        .fixed_discovery("left", Scope::Host, &["x", "y"])
        .pollster("p", &["m"], Some("left"), |run| {
            Box::pin(async move {
                while let Some(page) = run.next_page().await {
                    for resource in page.iter() {
                        if &**resource.key() == "x" {
                            run.fail(resource, Failure::new(FailureKind::Permanent, "gone"));
                        }
                    }
                }
                Ok(())
            })
        });
    let events = events_of(doubles, vec![source("a", 10, &["m"])]).await;
    assert_eq!(events[1..], ["ended p Complete x:permanent"]);
    let failing = Doubles::default()
        .fixed_discovery("left", Scope::Host, &["x", "y"])
        .pollster("p", &["m"], Some("left"), |run| {
            Box::pin(async move {
                measure(run, &["m"]).await?;
                Err(Failure::transient("failed at the end"))
            })
        });
    let events = events_of(failing, vec![source("a", 10, &["m"])]).await;
    assert_eq!(events[1..], ["x:1 y:1", "ended p Failed "]);
    let hanging = Doubles::default()
        .fixed_discovery("left", Scope::Host, &["x", "y"])
        .pollster("p", &["m"], Some("left"), |_| Box::pin(std::future::pending()));
    let events = events_of(hanging, vec![source("a", 10, &["m"])]).await;
    assert_eq!(events[1..], ["ended p CutOff "]);
}
