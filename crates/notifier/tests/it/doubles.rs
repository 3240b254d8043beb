//! Scripted publishers and batches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{
    Batch, CycleId, Meter, MeterDef, RunIds, Sample, ScheduleId, Subject, Timestamp, Volume,
};
use nephoscope_notifier::{
    Counts, Notifier, NotifierOptions, PublisherSetup, PublisherState, PublisherStatus, Selectors,
};
use nephoscope_plugin::{Accepted, PublishError, Publisher};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// A batch of `samples` samples that is identified by its source.
pub(crate) fn batch(label: &str, samples: usize) -> Arc<Batch> {
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
    let samples = (0..samples).map(|n| sample(u32::try_from(n).unwrap())).collect();
    Arc::new(Batch::new(samples, label.into()))
}

/// The result of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Accept,
    AcceptAfter(Duration),
    Reject,
    /// Accepts all but one sample.
    AcceptPart,
    Retry,
    /// Requests a pause.
    RetryAfter(Duration),
    Hang,
    Panic,
}

/// A publisher that follows a script.
pub(crate) struct Double {
    in_flight: usize,
    script: Mutex<Script>,
    changed: watch::Sender<Record>,
}

struct Script {
    next: VecDeque<Act>,
    then: Act,
}

/// The calls of a double.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    pub(crate) attempts: Vec<String>,
    pub(crate) accepted: Vec<String>,
    pub(crate) accepted_samples: u64,
    pub(crate) rejected_samples: u64,
    pub(crate) in_flight: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) closed: usize,
}

impl Double {
    /// A publisher whose publishes all have the result `then`.
    pub(crate) fn new(then: Act) -> Arc<Self> {
        Self::with_in_flight(then, 1)
    }

    pub(crate) fn with_in_flight(then: Act, in_flight: usize) -> Arc<Self> {
        Arc::new(Self {
            in_flight,
            script: Mutex::new(Script {
                next: VecDeque::new(),
                then,
            }),
            changed: watch::Sender::new(Record::default()),
        })
    }

    /// Sets the results of the next publishes.
    pub(crate) fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().next.extend(acts);
    }

    /// Sets the result of all later publishes.
    pub(crate) fn then(&self, act: Act) {
        let mut script = self.script.lock();
        script.next.clear();
        script.then = act;
    }

    pub(crate) fn record(&self) -> Record {
        self.changed.borrow().clone()
    }

    /// Waits until the record satisfies a condition.
    pub(crate) async fn until(&self, such: impl FnMut(&Record) -> bool) -> Record {
        let mut changes = self.changed.subscribe();
        timeout(Duration::from_secs(600), changes.wait_for(such))
            .await
            .expect("the condition must hold in time")
            .unwrap()
            .clone()
    }
}

/// Counts a publish as ended when it is dropped.
struct InFlight<'a>(&'a Double);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.changed.send_modify(|record| record.in_flight -= 1);
    }
}

#[async_trait::async_trait]
impl Publisher for Double {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        self.changed.send_modify(|record| {
            record.attempts.push(batch.source().to_owned());
            record.in_flight += 1;
            record.max_in_flight = record.max_in_flight.max(record.in_flight);
        });
        let _in_flight = InFlight(self);
        let act = {
            let mut script = self.script.lock();
            let then = script.then;
            script.next.pop_front().unwrap_or(then)
        };
        match act {
            Act::Accept => {}
            Act::AcceptAfter(pause) => sleep(pause).await,
            Act::Reject => {
                self.changed
                    .send_modify(|record| record.rejected_samples += batch.samples().len() as u64);
                return Err(PublishError::rejected("not a message"));
            }
            Act::AcceptPart => {
                let samples = batch.samples().len() as u64;
                self.changed.send_modify(|record| {
                    record.accepted_samples += samples - 1;
                    record.rejected_samples += 1;
                });
                return Ok(Accepted::partly(1, "not a number"));
            }
            Act::RetryAfter(pause) => return Err(PublishError::retry("too many requests").not_before(pause)),
            Act::Retry => {
                let cause = std::io::Error::other("connection refused");
                return Err(PublishError::retry_because("the broker is unreachable", cause));
            }
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("a bug in the plugin"),
        }
        self.changed.send_modify(|record| {
            record.accepted.push(batch.source().to_owned());
            record.accepted_samples += batch.samples().len() as u64;
        });
        Ok(Accepted::all())
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    async fn close(&self) {
        self.changed.send_modify(|record| record.closed += 1);
    }
}

pub(crate) fn setup(name: &str, publisher: &Arc<Double>, queue: usize) -> PublisherSetup {
    PublisherSetup {
        name: name.into(),
        url_shown: format!("test://***@{name}"),
        publisher: publisher.clone(),
        queue,
        spool: None,
        selectors: Selectors::default(),
    }
}

pub(crate) fn start(setups: Vec<PublisherSetup>) -> Notifier {
    Notifier::start(setups, NotifierOptions::default(), &Handle::current())
}

/// The status of the publisher with this name.
pub(crate) fn status(notifier: &Notifier, name: &str) -> PublisherStatus {
    let all = notifier.status();
    all.into_iter().find(|status| &*status.name == name).unwrap()
}

pub(crate) fn counts(notifier: &Notifier, name: &str) -> Counts {
    status(notifier, name).counts
}

pub(crate) fn state(notifier: &Notifier, name: &str) -> PublisherState {
    status(notifier, name).state
}

pub(crate) fn assert_adds_up(status: &PublisherStatus) {
    let counts = status.counts;
    assert_eq!(
        counts.submitted_samples,
        counts.delivered_samples
            + counts.dropped_samples
            + counts.rejected_samples
            + status.queued_samples as u64,
        "{status:?}"
    );
    assert_eq!(
        counts.submitted_batches,
        counts.delivered_batches
            + counts.dropped_batches
            + counts.rejected_batches
            + status.queued_batches as u64,
        "{status:?}"
    );
    assert!(
        status.queued_samples <= status.bound || status.queued_batches == 1,
        "the limit is exceeded: {status:?}"
    );
}
