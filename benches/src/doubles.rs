//! Plugins and a coordinator that record the times of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_coordination::{
    Assignment, BootTime, Coordinator, Local, NoPlan, Registration, Unit, Work, WorkId,
};
use nephoscope_model::{Batch, CycleId, Meter, MeterDef, Subject, Timestamp};
use nephoscope_plugin::{Accepted, Failure, PollRun, Pollster, PublishError, Publisher};
use nephoscope_polling::plugins::LoadedPollster;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clocks::millis_since;

/// The events: the edge of each, and its lateness in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Times(Mutex<Vec<(Timestamp, f64)>>);

impl Times {
    /// Records an event now.
    pub(crate) fn add(&self, edge: Timestamp) {
        self.0.lock().push((edge, millis_since(edge)));
    }

    /// Returns the number of events of an edge.
    pub(crate) fn count(&self, edge: Timestamp) -> usize {
        self.0.lock().iter().filter(|(of, _)| *of == edge).count()
    }

    /// Returns the lateness of events at edges after `begin`, and clears all.
    pub(crate) fn take_after(&self, begin: Timestamp) -> Vec<f64> {
        let all = std::mem::take(&mut *self.0.lock());
        all.into_iter()
            .filter(|(edge, _)| *edge > begin)
            .map(|(_, late)| late)
            .collect()
    }
}

/// The coordinator of a single agent. A cycle calls it first, which marks its start.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    pub(crate) times: Times,
}

#[async_trait]
impl Coordinator for Starts {
    async fn register(&self, registration: Registration) {
        Local.register(registration).await;
    }

    fn prepare(&self, cycle: &CycleId, edge: Instant, interval: Duration) {
        Local.prepare(cycle, edge, interval);
    }

    async fn plan(&self, cycle: &CycleId) -> Result<Assignment, NoPlan> {
        self.times.add(cycle.start);
        Local.plan(cycle).await
    }

    async fn next_work(&self) -> Work {
        Local.next_work().await
    }

    async fn may_hand_over(&self, work: &WorkId, units: &[Unit], finished: BootTime) -> bool {
        Local.may_hand_over(work, units, finished).await
    }

    fn finished(&self, work: &WorkId, unit: &Unit) {
        Local.finished(work, unit);
    }

    fn gave_up(&self, work: &WorkId, unit: &Unit) {
        Local.gave_up(work, unit);
    }

    fn skipped(&self, cycle: &CycleId) {
        Local.skipped(cycle);
    }

    async fn stopping(&self) {
        Local.stopping().await;
    }

    async fn leave(&self) {
        Local.leave().await;
    }
}

/// A pollster with one sample that records its calls.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    pub(crate) times: Arc<Times>,
}

/// The meter of [`Beat`].
pub(crate) const BEAT: &str = "bench.beat";

#[async_trait]
impl Pollster for Beat {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        self.times.add(run.cycle().start);
        let number = run.cycle().number;
        while let Some(page) = run.next_page().await {
            for resource in page.iter() {
                let subject = Subject::new(resource.key().clone()).shared();
                let mut report = run.report(resource);
                report.add(BEAT, &subject, number);
                report.send().await?;
            }
        }
        Ok(())
    }
}

/// A pollster that never ends, but yields its thread.
#[derive(Debug)]
pub(crate) struct Hang;

/// The meter of [`Hang`].
pub(crate) const HANG: &str = "bench.hang";

#[async_trait]
impl Pollster for Hang {
    async fn poll(&self, _run: &mut PollRun) -> Result<(), Failure> {
        std::future::pending().await
    }
}

/// A pollster that never ends and blocks its thread.
#[derive(Debug)]
pub(crate) struct Block;

/// The meter of [`Block`].
pub(crate) const BLOCK: &str = "bench.block";

#[async_trait]
impl Pollster for Block {
    async fn poll(&self, _run: &mut PollRun) -> Result<(), Failure> {
        loop {
            std::thread::park();
        }
    }
}

/// Returns a loaded pollster.
pub(crate) fn loaded(meter: &'static str, plugin: Arc<dyn Pollster>) -> Arc<LoadedPollster> {
    let definition = MeterDef::gauge(meter, "1", "A meter of a benchmark");
    Arc::new(LoadedPollster {
        name: meter.into(),
        namespaces: Arc::default(),
        meters: vec![Arc::new(Meter::from(&definition))],
        default_discovery: None,
        partition: None,
        endpoint: None,
        calls: Arc::default(),
        plugin,
        names: None,
    })
}

/// A publisher that counts the samples that another one delivered.
pub(crate) struct Counting {
    inner: Arc<dyn Publisher>,
    samples: AtomicU64,
    more: Notify,
}

impl Counting {
    pub(crate) fn new(inner: Arc<dyn Publisher>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            samples: AtomicU64::new(0),
            more: Notify::new(),
        })
    }

    /// Waits until this many samples have been delivered, and resets the count.
    pub(crate) async fn delivered(&self, samples: u64) {
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if self.samples.load(Ordering::Acquire) >= samples {
                self.samples.store(0, Ordering::Release);
                return;
            }
            more.await;
        }
    }
}

#[async_trait]
impl Publisher for Counting {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        let samples = batch.samples().len() as u64;
        let accepted = self.inner.publish(batch).await?;
        self.samples.fetch_add(samples, Ordering::AcqRel);
        self.more.notify_waiters();
        Ok(accepted)
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
