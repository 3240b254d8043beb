//! Publishers receive what they select, receipts cover only these publishers, and unrouted samples are counted.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{
    Batch, CycleId, Event, MessageId, Meter, MeterDef, PayloadKind, Run, RunIds, Sample, ScheduleId, Subject,
    Timestamp, Volume,
};
use nephoscope_notifier::{MeterSelector, Notifier, Outcome, PublisherSetup, Selectors};
use nephoscope_plugin::{
    Accepted, FailedResource, FailureKind, PublishError, Publisher, RunEnd, RunOutcome, async_trait,
};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::doubles::{Act, Double, assert_adds_up, counts, setup, start, status};

fn cycle(number: i64) -> CycleId {
    CycleId::new(
        ScheduleId::new("every:10:0"),
        Timestamp::from_millis(number * 10_000),
        number,
    )
}

fn run(number: i64, sources: &[&str]) -> Arc<Run> {
    let names = |names: &[&str]| -> Arc<[Arc<str>]> { names.iter().map(|name| Arc::from(*name)).collect() };
    Arc::new(
        Run::new(cycle(number), Duration::from_secs(10), "pollster")
            .sources(names(sources))
            .namespaces(names(&["compute"])),
    )
}

/// One sample of each meter.
fn samples(meters: &[&'static str]) -> Vec<Sample> {
    let ids = RunIds::new("", &cycle(0), "test").resource("r");
    let subject = Subject::new("r").shared();
    let sample = |meter: &&'static str| {
        Sample::new(
            subject.clone(),
            Arc::new(Meter::from(&MeterDef::gauge(meter, "1", "A meter"))),
            Volume::from(1u64),
            Timestamp::from_millis(0),
            ids.sample(meter, "r", 0),
        )
    };
    meters.iter().map(sample).collect()
}

fn batch_of(run: &Arc<Run>, meters: &[&'static str]) -> Arc<Batch> {
    Arc::new(Batch::new(samples(meters), "openstack".into()).of_run(run.clone()))
}

fn meters(prefix: &'static str) -> Selectors {
    let matches = move |meter: &Meter| meter.name.starts_with(prefix);
    Selectors::default().meters(MeterSelector::new(vec![format!("{prefix}*")], matches))
}

fn selecting(name: &str, publisher: Arc<dyn Publisher>, selectors: Selectors) -> PublisherSetup {
    PublisherSetup {
        publisher,
        selectors,
        ..setup(name, &Double::new(Act::Accept), 1000)
    }
}

/// Records the meters of each batch, the types of events, and run hooks.
#[derive(Default)]
struct RecordingPublisher {
    kinds: Vec<PayloadKind>,
    follows: bool,
    delay: Duration,
    fails: Mutex<u32>,
    seen: Mutex<Vec<String>>,
    batches: Mutex<Vec<Arc<Batch>>>,
}

impl RecordingPublisher {
    fn of(kinds: &[PayloadKind]) -> Arc<Self> {
        Arc::new(Self {
            kinds: kinds.to_vec(),
            ..Self::default()
        })
    }

    fn samples() -> Arc<Self> {
        Self::of(&[PayloadKind::Samples])
    }

    fn following(delay: Duration) -> Arc<Self> {
        Arc::new(Self {
            kinds: vec![PayloadKind::Samples],
            follows: true,
            delay,
            ..Self::default()
        })
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

#[async_trait]
impl Publisher for RecordingPublisher {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        sleep(self.delay).await;
        {
            let mut fails = self.fails.lock();
            if *fails > 0 {
                *fails -= 1;
                return Err(PublishError::retry("unreachable"));
            }
        }
        let mut names: Vec<_> = batch
            .samples()
            .iter()
            .map(|sample| sample.meter.name.to_string())
            .collect();
        names.extend(batch.events().iter().map(|event| event.event_type.to_string()));
        self.seen.lock().push(names.join(" "));
        self.batches.lock().push(batch);
        Ok(Accepted::all())
    }

    fn accepts(&self, kind: PayloadKind) -> bool {
        self.kinds.contains(&kind)
    }

    fn follows_runs(&self) -> bool {
        self.follows
    }

    fn run_started(&self, run: &Arc<Run>, owns: &dyn Fn(&str) -> bool) {
        let owned: Vec<_> = ["a", "b"].into_iter().filter(|key| owns(key)).collect();
        self.seen
            .lock()
            .push(format!("began {} {}", run.cycle.number, owned.join("")));
    }

    async fn run_ended(&self, run: &Arc<Run>, end: &RunEnd) {
        let failed: Vec<_> = end.failed.iter().map(|failed| &*failed.key).collect();
        self.seen.lock().push(format!(
            "ended {} {:?} {}",
            run.cycle.number,
            end.outcome,
            failed.join("")
        ));
    }
}

async fn deliver(notifier: &Notifier, batch: Arc<Batch>) -> Outcome {
    notifier.submit(batch).await.outcome().await
}

#[tokio::test(start_paused = true)]
async fn each_publisher_receives_the_meters_that_it_selects() {
    let [all, disk, other] = [(); 3].map(|()| RecordingPublisher::samples());
    let notifier = start(vec![
        selecting("all", all.clone(), Selectors::default()),
        selecting("disk", disk.clone(), meters("disk")),
        selecting("other", other.clone(), meters("disk")),
    ]);
    let run = run(0, &["s"]);
    let batch = batch_of(&run, &["cpu", "disk.read", "memory", "disk.write"]);
    assert_eq!(deliver(&notifier, batch.clone()).await, Outcome::Delivered);
    assert_eq!(all.seen(), ["cpu disk.read memory disk.write"]);
    assert_eq!(disk.seen(), ["disk.read disk.write"]);
    assert_eq!(other.seen(), disk.seen());
    // Full batches are shared, and so are equal parts: they are encoded once.
    let first = |publisher: &RecordingPublisher| publisher.batches.lock()[0].clone();
    assert!(Arc::ptr_eq(&first(&all), &batch));
    assert!(Arc::ptr_eq(&first(&disk), &first(&other)));
    assert!(Arc::ptr_eq(first(&disk).run().unwrap(), &run));
    assert_eq!(
        deliver(&notifier, batch_of(&run, &["disk.read"])).await,
        Outcome::Delivered
    );
    let last = |publisher: &RecordingPublisher| publisher.batches.lock()[1].clone();
    assert!(Arc::ptr_eq(&last(&disk), &last(&all)), "everything is selected");
    assert_eq!(
        deliver(&notifier, batch_of(&run, &["cpu"])).await,
        Outcome::Delivered
    );
    assert_eq!(disk.seen().len(), 2, "an empty selection is not submitted");
    let counts = counts(&notifier, "disk");
    assert_eq!((counts.submitted_samples, counts.submitted_batches), (3, 2));
    assert_adds_up(&status(&notifier, "disk"));
    assert_eq!(notifier.filtered(), 0);
}

#[tokio::test(start_paused = true)]
async fn sources_and_namespaces_select_runs() {
    let [one, two, compute, central] = [(); 4].map(|()| RecordingPublisher::samples());
    let notifier = start(vec![
        selecting("one", one.clone(), Selectors::default().sources(["one"])),
        selecting("two", two.clone(), Selectors::default().sources(["two", "three"])),
        selecting(
            "compute",
            compute.clone(),
            Selectors::default().namespaces(["compute"]),
        ),
        selecting(
            "central",
            central.clone(),
            Selectors::default().namespaces(["central"]),
        ),
    ]);
    deliver(&notifier, batch_of(&run(0, &["one", "two"]), &["both"])).await;
    deliver(&notifier, batch_of(&run(0, &["three"]), &["third"])).await;
    let part = Batch::new(samples(&["part"]), "openstack".into());
    let part = part
        .of_run(run(0, &["one", "two"]))
        .for_sources(["two".into()].into());
    deliver(&notifier, Arc::new(part)).await;
    // A batch without a run.
    let nameless = Batch::new(samples(&["nameless"]), "openstack".into());
    assert_eq!(deliver(&notifier, Arc::new(nameless)).await, Outcome::Delivered);
    assert_eq!(one.seen(), ["both"]);
    assert_eq!(two.seen(), ["both", "third", "part"]);
    assert_eq!(compute.seen(), ["both", "third", "part"]);
    assert!(central.seen().is_empty());
    assert_eq!(notifier.filtered(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_covers_only_the_publishers_of_the_batch() {
    let never = Double::new(Act::Hang);
    let accepted = RecordingPublisher::samples();
    let notifier = start(vec![
        selecting("never", never.clone(), meters("disk")),
        selecting("cpu", accepted.clone(), meters("cpu")),
    ]);
    let run = run(0, &["s"]);
    assert_eq!(
        deliver(&notifier, batch_of(&run, &["cpu"])).await,
        Outcome::Delivered
    );
    // Unrouted samples count as delivered: first one of two samples, then both.
    assert_eq!(
        deliver(&notifier, batch_of(&run, &["cpu", "memory"])).await,
        Outcome::Delivered
    );
    assert_eq!(
        deliver(&notifier, batch_of(&run, &["memory", "memory"])).await,
        Outcome::Delivered
    );
    assert_eq!(notifier.filtered(), 3);
    assert_eq!(accepted.seen(), ["cpu", "cpu"]);
    let open = notifier.submit(batch_of(&run, &["disk.read"])).await;
    assert_eq!(open.known(), None);
    assert_eq!(counts(&notifier, "never").submitted_samples, 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_the_selection() {
    let publisher = RecordingPublisher::samples();
    let notifier = start(vec![selecting("p", publisher.clone(), meters("cpu"))]);
    let run = run(0, &["s"]);
    deliver(&notifier, batch_of(&run, &["cpu", "memory"])).await;
    let setup = selecting("p", publisher.clone(), meters("memory"));
    notifier.reconfigure(vec![setup]).await;
    deliver(&notifier, batch_of(&run, &["cpu", "memory"])).await;
    assert_eq!(publisher.seen(), ["cpu", "memory"]);
    assert_eq!(counts(&notifier, "p").delivered_samples, 2);
}

#[tokio::test(start_paused = true)]
async fn events_are_sent_to_publishers_that_accept_them() {
    let samples = RecordingPublisher::samples();
    let events = RecordingPublisher::of(&[PayloadKind::Events]);
    let both = RecordingPublisher::of(&[PayloadKind::Samples, PayloadKind::Events]);
    let notifier = start(vec![
        selecting("samples", samples.clone(), Selectors::default()),
        selecting("events", events.clone(), Selectors::default()),
        selecting("both", both.clone(), meters("cpu")),
    ]);
    let event = |name: &str| Event::new(MessageId::upstream(name), name, Timestamp::from_micros(0));
    let batch = Batch::of_events(vec![event("create"), event("delete")], "openstack".into());
    assert_eq!(deliver(&notifier, Arc::new(batch)).await, Outcome::Delivered);
    assert_eq!(
        deliver(&notifier, batch_of(&run(0, &["s"]), &["cpu"])).await,
        Outcome::Delivered
    );
    assert_eq!(samples.seen(), ["cpu"]);
    assert_eq!(events.seen(), ["create delete"]);
    // Events have no meter.
    assert_eq!(both.seen(), ["create delete", "cpu"]);
    assert_eq!(counts(&notifier, "events").delivered_samples, 2);
    notifier
        .reconfigure(vec![selecting("samples", samples.clone(), Selectors::default())])
        .await;
    let batch = Batch::of_events(vec![event("create")], "openstack".into());
    assert_eq!(deliver(&notifier, Arc::new(batch)).await, Outcome::Delivered);
    assert_eq!(notifier.filtered(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_follows_its_batches() {
    let follower = RecordingPublisher::following(Duration::from_secs(1));
    let unaware = RecordingPublisher::samples();
    let elsewhere = RecordingPublisher::following(Duration::ZERO);
    let notifier = start(vec![
        selecting("follower", follower.clone(), Selectors::default()),
        selecting("unaware", unaware.clone(), Selectors::default()),
        selecting(
            "elsewhere",
            elsewhere.clone(),
            Selectors::default().sources(["other"]),
        ),
    ]);
    assert!(notifier.follows_runs());
    let (first, second) = (run(1, &["s"]), run(2, &["s"]));
    *follower.fails.lock() = 2;
    notifier.run_started(&first, &|key| key == "a");
    for meter in ["one", "two"] {
        let _ = notifier.submit(batch_of(&first, &[meter])).await;
    }
    let failed = vec![FailedResource::new("b".into(), FailureKind::Permanent)];
    notifier.run_ended(&first, RunEnd::new(RunOutcome::Complete).failed(failed));
    notifier.run_started(&second, &|_| true);
    let receipt = notifier.submit(batch_of(&second, &["three"])).await;
    notifier.run_ended(&second, RunEnd::new(RunOutcome::CutOff));
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        follower.seen(),
        [
            "began 1 a",
            "began 2 ab",
            "one",
            "two",
            "ended 1 Complete b",
            "three",
            "ended 2 CutOff "
        ]
    );
    assert_eq!(unaware.seen(), ["one", "two", "three"]);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_is_far_behind_receives_the_oldest_and_the_newest_end() {
    let follower = RecordingPublisher::following(Duration::from_secs(1));
    let notifier = start(vec![selecting("p", follower.clone(), Selectors::default())]);
    for number in 0..20 {
        let run = run(number, &["s"]);
        let _ = notifier.submit(batch_of(&run, &["m"])).await;
        notifier.run_ended(&run, RunEnd::new(RunOutcome::Complete));
    }
    sleep(Duration::from_secs(60)).await;
    let ends: Vec<_> = follower.seen().into_iter().filter(|seen| seen != "m").collect();
    assert_eq!(ends, ["ended 0 Complete ", "ended 19 Complete "]);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_batches_were_dropped_still_ends() {
    let follower = RecordingPublisher::following(Duration::from_secs(3600));
    let notifier = start(vec![PublisherSetup {
        queue: 1,
        ..selecting("p", follower.clone(), Selectors::default())
    }]);
    for number in 0..3 {
        let run = run(number, &[if number == 1 { "one" } else { "s" }]);
        let _ = notifier.submit(batch_of(&run, &["m"])).await;
        notifier.run_ended(&run, RunEnd::new(RunOutcome::Complete));
    }
    sleep(Duration::from_secs(10)).await;
    // Run 2 repeats run 0, whose batch is still in flight.
    assert_eq!(follower.seen(), ["ended 1 Complete "]);
}

/// Panics in every run hook.
struct PanicsOnRuns;

#[async_trait]
impl Publisher for PanicsOnRuns {
    async fn publish(&self, _: Arc<Batch>) -> Result<Accepted, PublishError> {
        Ok(Accepted::all())
    }

    fn follows_runs(&self) -> bool {
        true
    }

    fn run_started(&self, _: &Arc<Run>, _: &dyn Fn(&str) -> bool) {
        panic!("a bug");
    }

    async fn run_ended(&self, _: &Arc<Run>, _: &RunEnd) {
        panic!("another bug");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_run_hook_is_isolated() {
    let notifier = start(vec![selecting("p", Arc::new(PanicsOnRuns), Selectors::default())]);
    let run = run(0, &["s"]);
    for _ in 0..3 {
        notifier.run_started(&run, &|_| true);
        assert_eq!(
            deliver(&notifier, batch_of(&run, &["m"])).await,
            Outcome::Delivered
        );
        notifier.run_ended(&run, RunEnd::new(RunOutcome::Failed));
    }
    assert_eq!(counts(&notifier, "p").delivered_samples, 3);
}
