//! The way from a pollster to the engine: reports on resources become samples.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use nephoscope_model::{
    Meter, ReportedResource, Resource, ResourceIds, RunIds, Sample, Subject, Timestamp, Volume,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::{Failure, FailureKind};

/// How many samples one report may hold: a bound on what a plugin gone wild can fill memory with. Further
/// ones are dropped, and the run counts a defect.
pub const MAX_REPORT: usize = 1_000_000;

/// Reports with more samples than this find repeated (meter, resource id) pairs with a table.
const SCAN: usize = 32;

/// The run was ended: by its deadline, by a reload, or by the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run was ended")]
pub struct Stopped;

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Failure::new(FailureKind::Stopped, stopped.to_string())
    }
}

/// Learns what becomes of each resource; implemented by the engine and the testing kit.
pub trait RunObserver: Send + Sync {
    /// A report on the resource was sent.
    fn reported(&self, resource: &Resource);
    /// The resource could not be measured.
    fn failed(&self, resource: &Resource, failure: Failure);
    /// The plugin did what it must not do.
    fn defect(&self, message: String);
    /// What the samples of a report on the resource have in common with those that may be in one batch with them.
    fn tag(&self, resource: &Resource) -> u32 {
        let _ = resource;
        0
    }
    /// Whether batches say of which resources their samples are. It is asked once.
    fn follows(&self) -> bool {
        false
    }
}

/// The meters of a pollster, and which of them are wanted.
#[derive(Debug)]
pub struct MeterTable(Vec<(Arc<Meter>, bool)>);

impl MeterTable {
    /// All meters of a pollster, each with whether samples of it are wanted.
    pub fn new(meters: impl IntoIterator<Item = (Arc<Meter>, bool)>) -> Self {
        Self(meters.into_iter().collect())
    }

    fn find(&self, name: &str) -> Option<&(Arc<Meter>, bool)> {
        // Pollsters mostly name meters by the constants of their table: the same address. Tables are short.
        self.0
            .iter()
            .find(|(meter, _)| std::ptr::eq(meter.name.as_ref(), name))
            .or_else(|| self.0.iter().find(|(meter, _)| meter.name == name))
    }
}

/// What a run has produced and nobody has taken yet. It outlives the run: neither a panic nor a deadline
/// takes back what was reported.
pub struct RunOutput {
    state: Mutex<OutputState>,
    /// A batch was begun.
    begun: Notify,
}

struct OutputState {
    full: VecDeque<Reported>,
    open: Vec<Sample>,
    /// The tag of the samples of `open`, and the resources if they are followed.
    tag: u32,
    resources: Vec<ReportedResource>,
    /// When the first sample of `open` was reported, and when the last.
    opened: Instant,
    added: Instant,
    last_result: Instant,
}

impl OutputState {
    /// Closes the open batch.
    fn close(&mut self) {
        let samples = std::mem::take(&mut self.open);
        if !samples.is_empty() {
            self.full.push_back(Reported {
                samples,
                at: self.added,
                tag: self.tag,
                resources: std::mem::take(&mut self.resources),
            });
        }
    }

    /// So many samples were added to the open batch that are of the resource with this key.
    fn follow(&mut self, key: &Arc<str>, samples: usize) {
        if samples > 0 {
            self.resources.push(ReportedResource::new(key.clone(), samples));
        }
    }
}

/// Samples that go on together.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reported {
    /// At most a batch.
    pub samples: Vec<Sample>,
    /// When the last of them was reported.
    pub at: Instant,
    /// What [`RunObserver::tag`] says of all their resources.
    pub tag: u32,
    /// Of which resources they are, in order, if that is [followed](RunObserver::follows).
    pub resources: Vec<ReportedResource>,
}

impl RunOutput {
    /// Takes what has not been handed on.
    pub fn take(&self) -> Vec<Reported> {
        let mut state = self.state.lock();
        state.close();
        state.full.drain(..).collect()
    }

    /// When the last result came (a report, or a failed resource), or when the run began.
    pub fn last_result(&self) -> Instant {
        self.state.lock().last_result
    }

    /// Resolves when a batch was begun since the last call: [`RunOutput::open_since`] has changed.
    pub async fn batch_begun(&self) {
        self.begun.notified().await;
    }

    /// Since when samples wait for their batch to fill.
    pub fn open_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (!state.open.is_empty()).then_some(state.opened)
    }
}

/// Where the reports of one run go.
pub struct SampleSink {
    meters: Arc<MeterTable>,
    ids: RunIds,
    timestamp: Timestamp,
    batch_size: usize,
    batches: mpsc::Sender<Reported>,
    observer: Arc<dyn RunObserver>,
    output: Arc<RunOutput>,
    /// The samples of the report in progress.
    pending: Vec<Sample>,
    /// Whether batches say of which resources they are.
    follows: bool,
}

impl SampleSink {
    /// A sink that hands on batches of at most `batch_size` samples, and the place where the rest is taken.
    pub fn new(
        meters: Arc<MeterTable>,
        ids: RunIds,
        timestamp: Timestamp,
        batch_size: usize,
        batches: mpsc::Sender<Reported>,
        observer: Arc<dyn RunObserver>,
    ) -> (Self, Arc<RunOutput>) {
        let now = Instant::now();
        let output = Arc::new(RunOutput {
            state: Mutex::new(OutputState {
                full: VecDeque::new(),
                open: Vec::new(),
                tag: 0,
                resources: Vec::new(),
                opened: now,
                added: now,
                last_result: now,
            }),
            begun: Notify::new(),
        });
        let sink = Self {
            meters,
            ids,
            timestamp,
            batch_size: batch_size.max(1),
            batches,
            follows: observer.follows(),
            observer,
            output: output.clone(),
            pending: Vec::new(),
        };
        (sink, output)
    }

    pub(crate) fn wants(&self, meter: &str) -> bool {
        self.meters.find(meter).is_some_and(|(_, wanted)| *wanted)
    }

    pub(crate) fn report<'a>(&'a mut self, resource: &'a Resource) -> Report<'a> {
        self.pending.clear();
        let ids = self.ids.resource(resource.key());
        Report {
            sink: self,
            resource,
            ids,
            repeats: None,
            overflowed: false,
        }
    }

    pub(crate) fn fail(&mut self, resource: &Resource, failure: Failure) {
        self.output.state.lock().last_result = Instant::now();
        self.observer.failed(resource, failure);
    }

    /// Moves the pending samples, which are of this resource, to the output.
    fn commit(&mut self, resource: &Resource) {
        let now = Instant::now();
        let tag = self.observer.tag(resource);
        let mut state = self.output.state.lock();
        state.last_result = now;
        if tag != state.tag {
            state.close();
            state.tag = tag;
        }
        let was_empty = state.open.is_empty();
        let mut followed = 0;
        for sample in self.pending.drain(..) {
            if state.open.is_empty() {
                state.opened = now;
                if state.open.capacity() == 0 {
                    state.open.reserve_exact(self.batch_size.min(1024));
                }
            }
            state.open.push(sample);
            state.added = now;
            followed += usize::from(self.follows);
            if state.open.len() >= self.batch_size {
                state.follow(resource.key(), std::mem::take(&mut followed));
                state.close();
            }
        }
        state.follow(resource.key(), followed);
        if was_empty && !state.open.is_empty() {
            self.output.begun.notify_one();
        }
    }

    /// Hands full batches on; waits while the engine is busy with those before.
    async fn hand_on(&mut self) -> Result<(), Stopped> {
        while !self.output.state.lock().full.is_empty() {
            // The batch leaves the output only when it has a place to go: leaving this future loses nothing.
            let place = self.batches.reserve().await.map_err(|_| Stopped)?;
            // Sent under the lock: whoever takes the output finds all batches before it already sent.
            let mut state = self.output.state.lock();
            if let Some(batch) = state.full.pop_front() {
                place.send(batch);
            }
        }
        Ok(())
    }
}

/// The report on one resource: all its samples, or none when it is dropped unsent.
#[must_use = "a report counts when it is sent"]
pub struct Report<'a> {
    sink: &'a mut SampleSink,
    resource: &'a Resource,
    ids: ResourceIds,
    /// How often each (meter, resource id) came, once the report is long.
    repeats: Option<HashMap<(usize, Arc<str>), u32>>,
    /// Whether samples were dropped at [`MAX_REPORT`].
    overflowed: bool,
}

impl Report<'_> {
    /// Adds a value of `meter`. Values of meters that are not wanted are dropped; a meter that the pollster
    /// did not declare, or a value that is not a number, is a defect of the plugin and counted.
    pub fn add(&mut self, meter: &str, subject: &Arc<Subject>, volume: impl Into<Volume>) {
        self.push(meter, subject, volume.into(), None);
    }

    /// As [`Report::add`], with the seconds on the monotonic clock at which the value was read.
    pub fn add_at(
        &mut self,
        meter: &str,
        subject: &Arc<Subject>,
        volume: impl Into<Volume>,
        monotonic_time: f64,
    ) {
        self.push(meter, subject, volume.into(), Some(monotonic_time));
    }

    /// Sends the report. Waits while the notifier is busy.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the run has been ended; return it with `?`. The report counts all the same.
    pub async fn send(self) -> Result<(), Stopped> {
        let Self { sink, resource, .. } = self;
        sink.commit(resource);
        sink.observer.reported(resource);
        sink.hand_on().await
    }

    fn push(&mut self, name: &str, subject: &Arc<Subject>, volume: Volume, monotonic_time: Option<f64>) {
        let Some((meter, wanted)) = self.sink.meters.find(name) else {
            self.sink
                .observer
                .defect(format!("the meter `{name}` is not declared"));
            return;
        };
        if !wanted {
            return;
        }
        if !volume.is_finite() {
            self.sink
                .observer
                .defect(format!("`{name}` of `{}` is not a number", subject.resource_id));
            return;
        }
        if self.sink.pending.len() >= MAX_REPORT {
            if !std::mem::replace(&mut self.overflowed, true) {
                self.sink.observer.defect(format!(
                    "`{}` has more than {MAX_REPORT} samples in one report",
                    self.resource.key()
                ));
            }
            return;
        }
        let meter = meter.clone();
        let n = self.count(&meter, subject);
        let id = self.ids.sample(&meter.name, &subject.resource_id, n);
        let sample = Sample::new(subject.clone(), meter, volume, self.sink.timestamp, id);
        self.sink.pending.push(sample.read_at(monotonic_time));
    }

    /// How many samples of this meter and resource id the report has already.
    fn count(&mut self, meter: &Arc<Meter>, subject: &Arc<Subject>) -> u32 {
        let pending = &self.sink.pending;
        if pending.len() < SCAN {
            let same = |sample: &&Sample| {
                Arc::ptr_eq(&sample.meter, meter)
                    && (Arc::ptr_eq(&sample.subject, subject)
                        || sample.subject.resource_id == subject.resource_id)
            };
            return u32::try_from(pending.iter().filter(same).count()).unwrap_or(u32::MAX);
        }
        let repeats = self.repeats.get_or_insert_with(|| {
            let mut repeats = HashMap::new();
            for sample in pending {
                *repeats.entry(pair(&sample.meter, &sample.subject)).or_insert(0) += 1;
            }
            repeats
        });
        let count = repeats.entry(pair(meter, subject)).or_insert(0);
        let n = *count;
        *count += 1;
        n
    }
}

/// A meter by its address (the table keeps it alive) and a resource id.
fn pair(meter: &Arc<Meter>, subject: &Arc<Subject>) -> (usize, Arc<str>) {
    (Arc::as_ptr(meter) as usize, subject.resource_id.clone())
}
