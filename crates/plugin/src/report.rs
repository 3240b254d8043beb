//! The path from a pollster to the engine: reports on resources become samples.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use nephoscope_model::{
    Meter, ReportedResource, Resource, ResourceIds, RunIds, Sample, Subject, Timestamp, Volume,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::{Failure, FailureKind};

/// The maximum number of samples of one report. It bounds the memory that a faulty plugin can fill. Further samples are
/// dropped, and the run counts a defect.
pub const MAX_REPORT: usize = 1_000_000;

/// Reports with more samples than this use a table to find repeated (meter, resource id) pairs.
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

/// Observes the outcome of each resource. The engine and the testing kit implement it.
pub trait RunObserver: Send + Sync {
    /// A report on the resource was sent.
    fn reported(&self, resource: &Resource);
    /// The resource could not be measured.
    fn failed(&self, resource: &Resource, failure: Failure);
    /// The plugin broke a rule.
    fn defect(&self, message: String);
    /// Returns the tag of the samples of a resource. Samples with different tags are never in one batch.
    fn tag(&self, resource: &Resource) -> u32 {
        let _ = resource;
        0
    }
    /// Whether batches list the resources of their samples. It is called once.
    fn tracks_resources(&self) -> bool {
        false
    }
}

/// The meters of a pollster, and whether each is collected.
#[derive(Debug)]
pub struct MeterTable(Vec<(Arc<Meter>, bool)>);

impl MeterTable {
    /// Creates the table from all meters of a pollster, each with whether it is collected.
    pub fn new(meters: impl IntoIterator<Item = (Arc<Meter>, bool)>) -> Self {
        Self(meters.into_iter().collect())
    }

    fn find(&self, name: &str) -> Option<&(Arc<Meter>, bool)> {
        // Pollsters mostly pass the constants of their table, so the address is compared first. Tables are short.
        self.0
            .iter()
            .find(|(meter, _)| std::ptr::eq(meter.name.as_ref(), name))
            .or_else(|| self.0.iter().find(|(meter, _)| meter.name == name))
    }
}

/// The samples of a run that were not sent yet. It outlives the run: samples that were reported survive a panic and a
/// deadline.
pub struct RunOutput {
    state: Mutex<OutputState>,
    /// A batch was started.
    started: Notify,
}

struct OutputState {
    full: VecDeque<ReportedBatch>,
    open: Vec<Sample>,
    /// The tag of the samples of `open`, and the resources if they are tracked.
    tag: u32,
    resources: Vec<ReportedResource>,
    /// When the first and the last sample of `open` were reported.
    opened: Instant,
    added: Instant,
    last_result: Instant,
}

impl OutputState {
    /// Closes the open batch.
    fn close(&mut self) {
        let samples = std::mem::take(&mut self.open);
        if !samples.is_empty() {
            self.full.push_back(ReportedBatch {
                samples,
                at: self.added,
                tag: self.tag,
                resources: std::mem::take(&mut self.resources),
            });
        }
    }

    /// Records that this many samples of the open batch belong to the resource with this key.
    fn track(&mut self, key: &Arc<str>, samples: usize) {
        if samples > 0 {
            self.resources.push(ReportedResource::new(key.clone(), samples));
        }
    }
}

/// Samples that are submitted together.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReportedBatch {
    /// At most the batch size.
    pub samples: Vec<Sample>,
    /// When the last of them was reported.
    pub at: Instant,
    /// The [`RunObserver::tag`] of all their resources.
    pub tag: u32,
    /// Their resources, in order, if they are [tracked](RunObserver::tracks_resources).
    pub resources: Vec<ReportedResource>,
}

impl RunOutput {
    /// Removes and returns what was not sent yet.
    pub fn take(&self) -> Vec<ReportedBatch> {
        let mut state = self.state.lock();
        state.close();
        state.full.drain(..).collect()
    }

    /// When the last result (a report or a failed resource) arrived, or when the run started.
    pub fn last_result(&self) -> Instant {
        self.state.lock().last_result
    }

    /// Resolves when a batch was started since the last call: [`RunOutput::open_since`] has changed.
    pub async fn batch_started(&self) {
        self.started.notified().await;
    }

    /// When the first sample of the incomplete batch was reported.
    pub fn open_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (!state.open.is_empty()).then_some(state.opened)
    }
}

/// The sink for the reports of one run.
pub struct SampleSink {
    meters: Arc<MeterTable>,
    ids: RunIds,
    timestamp: Timestamp,
    batch_size: usize,
    batches: mpsc::Sender<ReportedBatch>,
    observer: Arc<dyn RunObserver>,
    output: Arc<RunOutput>,
    /// The samples of the report in progress.
    pending: Vec<Sample>,
    /// Whether batches list the resources of their samples.
    tracks_resources: bool,
}

impl SampleSink {
    /// Creates a sink that sends batches of at most `batch_size` samples, and the output that holds the rest.
    pub fn new(
        meters: Arc<MeterTable>,
        ids: RunIds,
        timestamp: Timestamp,
        batch_size: usize,
        batches: mpsc::Sender<ReportedBatch>,
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
            started: Notify::new(),
        });
        let sink = Self {
            meters,
            ids,
            timestamp,
            batch_size: batch_size.max(1),
            batches,
            tracks_resources: observer.tracks_resources(),
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

    /// Moves the pending samples, which belong to this resource, to the output.
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
        let mut tracked = 0;
        for sample in self.pending.drain(..) {
            if state.open.is_empty() {
                state.opened = now;
                if state.open.capacity() == 0 {
                    state.open.reserve_exact(self.batch_size.min(1024));
                }
            }
            state.open.push(sample);
            state.added = now;
            tracked += usize::from(self.tracks_resources);
            if state.open.len() >= self.batch_size {
                state.track(resource.key(), std::mem::take(&mut tracked));
                state.close();
            }
        }
        state.track(resource.key(), tracked);
        if was_empty && !state.open.is_empty() {
            self.output.started.notify_one();
        }
    }

    /// Sends full batches; waits while the engine is busy with earlier ones.
    async fn send_batches(&mut self) -> Result<(), Stopped> {
        while !self.output.state.lock().full.is_empty() {
            // The batch leaves the output only when the channel has capacity: dropping this future loses nothing.
            let permit = self.batches.reserve().await.map_err(|_| Stopped)?;
            // Sent under the lock: whoever takes the output finds all earlier batches already sent.
            let mut state = self.output.state.lock();
            if let Some(batch) = state.full.pop_front() {
                permit.send(batch);
            }
        }
        Ok(())
    }
}

/// The report on one resource: all its samples, or none if it is dropped unsent.
#[must_use = "a report has no effect until it is sent"]
pub struct Report<'a> {
    sink: &'a mut SampleSink,
    resource: &'a Resource,
    ids: ResourceIds,
    /// How often each (meter, resource id) occurred, once the report is long.
    repeats: Option<HashMap<(usize, Arc<str>), u32>>,
    /// Whether samples were dropped at [`MAX_REPORT`].
    overflowed: bool,
}

impl Report<'_> {
    /// Adds a value of `meter`. Values of meters that are not collected are dropped. An undeclared meter, or a value that is
    /// not a number, counts as a defect of the plugin.
    pub fn add(&mut self, meter: &str, subject: &Arc<Subject>, volume: impl Into<Volume>) {
        self.push(meter, subject, volume.into(), None);
    }

    /// Like [`Report::add`], with the time on the monotonic clock, in seconds, at which the value was read.
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
    /// [`Stopped`] when the run must end; return it with `?`. The report still counts.
    pub async fn send(self) -> Result<(), Stopped> {
        let Self { sink, resource, .. } = self;
        sink.commit(resource);
        sink.observer.reported(resource);
        sink.send_batches().await
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

    /// How many samples of this meter and resource id the report already has.
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

/// A meter by address (the table keeps it alive) and a resource id.
fn pair(meter: &Arc<Meter>, subject: &Arc<Subject>) -> (usize, Arc<str>) {
    (Arc::as_ptr(meter) as usize, subject.resource_id.clone())
}
