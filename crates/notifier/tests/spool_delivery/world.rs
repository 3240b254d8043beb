//! An agent's notifier with one publisher and its spool on a simulated disk.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{
    Batch, CycleId, Encoding, EncodingId, JsonLines, Meter, MeterDef, RunIds, Sample, ScheduleId, Subject,
    Timestamp, Volume,
};
use nephoscope_notifier::spool::{Fsync, Order, Spool, SpoolMode, SpoolOptions};
use nephoscope_notifier::{
    Notifier, NotifierOptions, Outcome, PublisherSetup, PublisherStatus, Receipt, Selectors, ShutdownReport,
};
use nephoscope_plugin::{Accepted, PublishError, Publisher};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::sim::Sim;

/// Longer than any step of a test.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A batch with a label.
pub(crate) fn batch(label: &str, samples: u32) -> Arc<Batch> {
    let cycle = CycleId::new(ScheduleId::new("every:10:0"), Timestamp::from_millis(0), 0);
    let ids = RunIds::new("", &cycle, "test").resource(label);
    let meter = Arc::new(Meter::from(&MeterDef::gauge("m", "1", "A meter")));
    let subject = Subject::new(label).shared();
    let sample = |n| {
        Sample::new(
            subject.clone(),
            meter.clone(),
            Volume::from(1u64),
            Timestamp::from_millis(0),
            ids.sample("m", label, n),
        )
    };
    Arc::new(Batch::new((0..samples).map(sample).collect(), "test".into()))
}

/// An encoding other than JSON lines.
#[derive(Debug)]
pub(crate) struct Other;

const OTHER: &str = "other ";

impl Encoding for Other {
    fn id(&self) -> EncodingId {
        EncodingId::new("test-other", 3)
    }

    fn encode(&self, batch: &Batch) -> Vec<u8> {
        [OTHER.as_bytes(), batch.encoded(&JsonLines).unwrap()].concat()
    }
}

/// The label of a batch, from its encoded bytes.
pub(crate) fn label(batch: &Batch, encoding: &dyn Encoding) -> String {
    let lines = str::from_utf8(batch.encoded(encoding).unwrap()).unwrap();
    let lines = lines.strip_prefix(OTHER).unwrap_or(lines);
    assert_eq!(lines.lines().count(), batch.len());
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    first["resource_id"].as_str().unwrap().to_owned()
}

/// The behaviour of a publisher's destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    Accepts,
    /// Fails immediately.
    Unreachable,
    /// Does not answer.
    Hangs,
    /// Permanently rejects batches with an `x` in their label.
    RejectsX,
}

/// A publisher, by default of JSON lines.
pub(crate) struct Double {
    pub(crate) destination: watch::Sender<Destination>,
    pub(crate) accepted: watch::Sender<Vec<String>>,
    pub(crate) attempts: watch::Sender<u64>,
    in_flight: usize,
    encoding: Arc<dyn Encoding>,
}

impl Double {
    pub(crate) fn new(destination: Destination, in_flight: usize) -> Arc<Self> {
        Self::of(Arc::new(JsonLines), destination, in_flight)
    }

    pub(crate) fn of(encoding: Arc<dyn Encoding>, destination: Destination, in_flight: usize) -> Arc<Self> {
        Arc::new(Self {
            encoding,
            destination: watch::Sender::new(destination),
            accepted: watch::Sender::new(Vec::new()),
            attempts: watch::Sender::new(0),
            in_flight,
        })
    }

    pub(crate) fn now(&self, destination: Destination) {
        self.destination.send_replace(destination);
    }

    pub(crate) fn accepted(&self) -> Vec<String> {
        self.accepted.borrow().clone()
    }

    /// Waits for this number of publishes.
    pub(crate) async fn has_tried(&self, attempts: u64) {
        let mut tried = self.attempts.subscribe();
        let such = timeout(LONG, tried.wait_for(|tried| *tried >= attempts)).await;
        such.expect("the publisher must try in time").unwrap();
    }

    /// Waits for this number of accepted batches.
    pub(crate) async fn has_accepted(&self, batches: usize) -> Vec<String> {
        let mut accepted = self.accepted.subscribe();
        let such = timeout(LONG, accepted.wait_for(|accepted| accepted.len() >= batches)).await;
        match such {
            Ok(accepted) => accepted.unwrap().clone(),
            Err(_) => panic!("only {:?} of {batches} in time", self.accepted()),
        }
    }
}

#[async_trait::async_trait]
impl Publisher for Double {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        let label = label(&batch, &*self.encoding);
        self.attempts.send_modify(|attempts| *attempts += 1);
        let destination = *self.destination.borrow();
        match destination {
            Destination::Accepts => {}
            Destination::Unreachable => return Err(PublishError::retry("the broker is unreachable")),
            Destination::Hangs => {
                let mut destination = self.destination.subscribe();
                let _ = destination
                    .wait_for(|destination| *destination != Destination::Hangs)
                    .await;
                return Err(PublishError::retry("the broker has hung"));
            }
            Destination::RejectsX if label.contains('x') => return Err(PublishError::rejected("no x")),
            Destination::RejectsX => {}
        }
        self.accepted.send_modify(|accepted| accepted.push(label));
        Ok(Accepted::all())
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        Some(self.encoding.clone())
    }
}

pub(crate) fn options(mode: SpoolMode, fsync: Fsync, order: Order) -> SpoolOptions {
    SpoolOptions {
        mode,
        fsync,
        order,
        ..SpoolOptions::default()
    }
}

/// The part of an agent that concerns one publisher.
pub(crate) struct Agent {
    pub(crate) notifier: Notifier,
    pub(crate) publisher: Arc<Double>,
    pub(crate) spool: Spool,
}

pub(crate) fn setup(publisher: Arc<dyn Publisher>, spool: Spool, queue: usize) -> PublisherSetup {
    PublisherSetup {
        name: "p".into(),
        url_shown: "test:".to_owned(),
        publisher,
        queue,
        spool: Some(spool),
        selectors: Selectors::default(),
    }
}

impl Agent {
    /// Starts with the contents of a disk.
    pub(crate) async fn start(
        sim: &Sim,
        destination: Destination,
        queue: usize,
        options: SpoolOptions,
    ) -> Self {
        let disk = Box::new(sim.clone());
        let spool = Spool::open_on("p".into(), "sim".into(), move || Ok(disk as _), options)
            .await
            .expect("the spool opens");
        let publisher = Double::new(destination, 1);
        let limits = NotifierOptions {
            backoff_min: Duration::from_millis(5),
            backoff_max: Duration::from_millis(20),
            full_queue_timeout: Duration::from_millis(300),
            ..NotifierOptions::default()
        };
        let setups = vec![setup(publisher.clone(), spool.clone(), queue)];
        Self {
            notifier: Notifier::start(setups, limits, &Handle::current()),
            publisher,
            spool,
        }
    }

    /// Replaces the publisher and keeps the spool.
    pub(crate) async fn reload(&mut self, publisher: Arc<Double>, queue: usize) {
        self.publisher = publisher.clone();
        let setups = vec![setup(publisher, self.spool.clone(), queue)];
        self.notifier.reconfigure(setups).await;
    }

    pub(crate) async fn submit(&self, label: &str) -> Receipt {
        self.notifier.submit(batch(label, 1)).await
    }

    /// Submits batches.
    pub(crate) async fn submit_all(
        &self,
        labels: impl IntoIterator<Item = String>,
    ) -> Vec<(String, Receipt)> {
        let mut receipts = Vec::new();
        for label in labels {
            let receipt = self.submit(&label).await;
            receipts.push((label, receipt));
        }
        receipts
    }

    pub(crate) fn status(&self) -> PublisherStatus {
        self.notifier.status().remove(0)
    }

    /// Waits until the status satisfies a condition.
    pub(crate) async fn until(&self, such: impl Fn(&PublisherStatus) -> bool) {
        let waits = async {
            while !such(&self.status()) {
                tokio::task::yield_now().await;
            }
        };
        if timeout(LONG, waits).await.is_err() {
            panic!("not in time: {:#?}", self.status());
        }
    }

    pub(crate) async fn stop(&self, within: Duration) -> ShutdownReport {
        let report = self.notifier.shutdown(Instant::now() + within).await;
        assert_adds_up(&self.status());
        report
    }
}

/// Checks that every sample is accounted for.
pub(crate) fn assert_adds_up(status: &PublisherStatus) {
    let counts = status.counts;
    let spool = status.spool.as_ref().unwrap();
    assert_eq!(
        counts.submitted_samples + spool.recovered_samples,
        counts.delivered_samples
            + counts.dropped_samples
            + counts.rejected_samples
            + status.queued_samples as u64
            + spool.samples,
        "{status:#?}"
    );
    assert_eq!(
        counts.submitted_batches + spool.recovered_batches,
        counts.delivered_batches
            + counts.dropped_batches
            + counts.rejected_batches
            + status.queued_batches as u64
            + spool.batches,
        "{status:#?}"
    );
}

pub(crate) async fn outcome(receipt: Receipt) -> Outcome {
    timeout(LONG, receipt.outcome())
        .await
        .expect("the receipt resolves in time")
}

pub(crate) fn labels(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|number| format!("{number:05}"))
}
