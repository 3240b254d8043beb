//! A pollster run of a cycle: pages in, samples out, bounded in time.

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use nephoscope_coordination::Unit;
use nephoscope_model::{Batch, Resource, RunIds, Sample, Scope};
use nephoscope_notifier::ReceiptSet;
use nephoscope_plugin::{
    FailedResource, Failure, FailureKind, Page, PollContext, PollRun, ReportedBatch, RunObserver, RunOutcome,
    RunOutput, SampleSink,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::backed_off::BackedOff;
use crate::classes::ClassSet;
use crate::context::CycleContext;
use crate::events;
use crate::fence::Fence;
use crate::keyhash::KeyHasher;
use crate::listing::panicked;
use crate::margin::margin;
use crate::names;
use crate::pages::{DividedPages, InputReaders, PageFilter, PageSource, Pages};
use crate::record::{FailureNote, MAX_DESCRIBED, PollRecord};
use crate::task::RunDef;

/// The capacity of the channel for pages to a pollster.
const PAGES: usize = 2;

/// The capacity of the channel for batches from a pollster.
const BATCHES: usize = 16;

/// How long a cancelled run may take to end before it is aborted, and again before it counts as hung; less if the margin
/// before the next edge is short.
const GRACE: Duration = Duration::from_millis(50);

/// The state of a pollster run that persists from cycle to cycle.
#[derive(Default)]
pub struct RunState {
    /// The resources that are backed off.
    pub backed_off: BackedOff,
    /// Runs that block their threads: at most one, unless a takeover ran concurrently with a cycle.
    hung: Mutex<Vec<JoinHandle<()>>>,
}

impl RunState {
    /// Whether an earlier run still blocks its thread.
    pub fn is_hung(&self) -> bool {
        let mut hung = self.hung.lock();
        hung.retain(|task| !task.is_finished());
        !hung.is_empty()
    }
}

/// A run and its readers, ready to start.
pub struct Run {
    pub(crate) def: Arc<RunDef>,
    pub(crate) state: Arc<RunState>,
    pub(crate) inputs: Vec<InputReaders>,
    pub(crate) context: Arc<CycleContext>,
    /// Cancelled when it must end immediately.
    pub(crate) cancellation: CancellationToken,
    /// Checked before each batch is submitted; `None` for runs on the host's own resources.
    pub(crate) fence: Option<Fence>,
    /// The number of agents that poll resources of the same listings.
    pub(crate) members: NonZeroUsize,
}

/// The result of a run.
pub struct RunEnd {
    /// The shared units whose resources it polled.
    pub units: Arc<[Unit]>,
    /// For the cycle's record.
    pub record: PollRecord,
    /// The receipts of its samples.
    pub receipts: Arc<ReceiptSet>,
    /// Whether other agents should repeat the work: the service was unreachable, the run was cancelled, or the fence rejected
    /// some of its samples. A poll that failed in any other way counts as done.
    pub undone: bool,
}

impl Run {
    /// Runs until the end, at most until the cycle's deadline plus a grace period of 0.1 s.
    pub async fn run(self) -> RunEnd {
        let Self {
            def,
            state,
            inputs,
            context,
            cancellation,
            fence,
            members,
        } = self;
        let observer = Arc::new(Observer {
            state: state.clone(),
            hasher: context.engine.hasher.clone(),
            record: Mutex::new(PollRecord {
                pollster: def.pollster.name.clone(),
                ..PollRecord::default()
            }),
            tracks_resources: context.engine.notifier.follows_runs(),
            context: context.clone(),
            unreachable: AtomicBool::new(false),
            incomplete: AtomicBool::new(false),
            failed: Mutex::default(),
            tags: OnceLock::new(),
        });
        let run = Arc::new(
            nephoscope_model::Run::new(
                context.frame.cycle.clone(),
                context.frame.interval,
                def.pollster.name.clone(),
            )
            .namespaces(def.pollster.namespaces.clone())
            .sources(
                def.sources
                    .iter()
                    .map(|(name, _)| name.clone())
                    .collect::<Arc<[_]>>(),
            )
            .takeover(context.frame.takeover),
        );
        // A takeover covers only some units, so it does not change who owns the other resources.
        if observer.tracks_resources && context.frame.takeover.is_none() {
            context
                .engine
                .notifier
                .run_started(&run, &|key| inputs.iter().any(|input| input.own(key)));
        }
        let mut worker = Worker {
            receipts: ReceiptSet::default(),
            run,
            skipped: false,
            sources: Vec::new(),
            def,
            state,
            context,
            observer: observer.clone(),
            cancellation,
            fence,
            members,
        };
        let outcome = worker.work(inputs).await;
        if observer.tracks_resources {
            let end = worker.end_of_run(outcome.as_ref().err());
            worker.context.engine.notifier.run_ended(&worker.run, end);
        }
        if let Err(failure) = outcome {
            observer.run_failed(&failure);
        }
        let record = std::mem::take(&mut *observer.record.lock());
        if record.fenced > 0 {
            events::fenced(&record.pollster, &worker.context.frame.cycle, record.fenced);
        }
        RunEnd {
            undone: observer.unreachable.load(Ordering::Relaxed)
                || record.fenced > 0
                || worker.cancellation.is_cancelled(),
            units: worker.fence.map(|fence| fence.units).unwrap_or_default(),
            record,
            receipts: Arc::new(worker.receipts),
        }
    }
}

struct Worker {
    def: Arc<RunDef>,
    state: Arc<RunState>,
    context: Arc<CycleContext>,
    observer: Arc<Observer>,
    cancellation: CancellationToken,
    fence: Option<Fence>,
    members: NonZeroUsize,
    receipts: ReceiptSet,
    /// The run as publishers see it.
    run: Arc<nephoscope_model::Run>,
    /// Whether the pollster was not called although there are resources.
    skipped: bool,
    /// The sources of each tag except 0, if not all of them collect from the same resources.
    sources: Vec<Arc<[Arc<str>]>>,
}

impl Worker {
    async fn work(&mut self, inputs: Vec<InputReaders>) -> Result<(), Failure> {
        let pages = PageSource::new(inputs, self.observer.clone());
        let mut pages = if self.def.is_divided() {
            let read = self.in_time(pages.read_all(), "its resources were not discovered in time");
            let read = read.await?;
            self.divide(read)
        } else {
            Pages::Listed(pages)
        };
        // A pollster without resources is not called and needs no permit.
        let context = self.context.clone();
        let Some(first) = self
            .in_time(pages.next(), "its resources were not discovered in time")
            .await?
        else {
            return Ok(());
        };
        self.skipped = true;
        if self.state.is_hung() {
            return Err(Failure::transient(
                "the previous poll still blocks its thread; not started again",
            ));
        }
        let permits = context.limits.acquire(self.def.pollster.endpoint.as_ref());
        let _permits = self
            .in_time(permits, "no other poll ended in time to release a permit")
            .await?;
        self.skipped = false;
        self.poll(first, pages).await
    }

    /// Stores which sources collect from each resource, as the tags of its samples.
    fn divide(&mut self, divided: DividedPages) -> Pages<Observer> {
        let DividedPages { pages, sets, of } = divided;
        let wanting = |set: &ClassSet| -> Arc<[Arc<str>]> {
            let sources = self.def.sources.iter();
            let wanting = sources.filter(|(_, class)| set.contains(class));
            wanting.map(|(name, _)| name.clone()).collect()
        };
        self.sources = sets.iter().map(wanting).collect();
        // The tags are set only here: a run is divided once.
        let _ = self.observer.tags.set(of);
        Pages::Read(pages)
    }

    /// The outcome of the run for publishers.
    fn end_of_run(&self, failure: Option<&Failure>) -> nephoscope_plugin::RunEnd {
        let fenced = self.observer.record.lock().fenced > 0;
        let outcome = match failure {
            _ if self.skipped => RunOutcome::Skipped,
            _ if fenced || self.cancellation.is_cancelled() => RunOutcome::CutOff,
            Some(failure) if failure.kind() == FailureKind::Stopped => RunOutcome::CutOff,
            Some(_) => RunOutcome::Failed,
            None if self.context.frame.takeover.is_some() => RunOutcome::Partial,
            None if self.observer.incomplete.load(Ordering::Relaxed) => RunOutcome::Partial,
            None => RunOutcome::Complete,
        };
        let failed = std::mem::take(&mut *self.observer.failed.lock());
        nephoscope_plugin::RunEnd::new(outcome).failed(failed)
    }

    /// Runs `work`, unless the run is cancelled or its deadline comes first.
    async fn in_time<T>(&self, work: impl Future<Output = T>, late: &'static str) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => Err(self.cancelled()),
            done = timeout_at(self.context.frame.deadline, work) => {
                done.map_err(|_| Failure::new(FailureKind::Stopped, late))
            }
        }
    }

    fn cancelled(&self) -> Failure {
        let why = if self.context.cancellation.is_cancelled() {
            "the agent stops"
        } else {
            "other agents have taken over this agent's part of the work"
        };
        Failure::new(FailureKind::Stopped, why)
    }

    async fn poll(&mut self, first: Page, mut pages: Pages<Observer>) -> Result<(), Failure> {
        let started = Instant::now();
        let context = self.context.clone();
        let cancellation = self.cancellation.child_token();
        let (page_sender, page_receiver) = mpsc::channel(PAGES);
        let (batch_sender, mut batches) = mpsc::channel(BATCHES);
        let host = if self.def.scope == Scope::Host {
            context.engine.host.as_ref()
        } else {
            ""
        };
        let (sink, output) = SampleSink::new(
            self.def.table.clone(),
            RunIds::new(host, &context.frame.cycle, &self.def.pollster.name),
            context.engine.clock.wall(),
            context.engine.batch_size,
            batch_sender,
            self.observer.clone(),
        );
        let admission = context.limits.admission(self.def.pollster.endpoint.clone());
        let poll_context = PollContext::new(
            context.frame.cycle.clone(),
            context.frame.deadline,
            cancellation.clone(),
            context.cache.clone(),
        )
        .members(self.members)
        .admission(admission);
        let plugin = self.def.pollster.plugin.clone();
        let (result_sender, mut result) = tokio::sync::oneshot::channel();
        let mut task = context.engine.plugin_runtime.spawn(async move {
            let mut run = PollRun::new(poll_context, page_receiver, sink);
            let outcome = std::panic::AssertUnwindSafe(plugin.poll(&mut run))
                .catch_unwind()
                .await;
            drop(run);
            let _ = result_sender.send(outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))));
        });

        // Sends pages and receives batches concurrently.
        let fed = AtomicBool::new(false);
        let mut feed = pin!(
            async {
                let mut next = Some(first);
                while let Some(page) = next {
                    if page_sender.send(page).await.is_err() {
                        return;
                    }
                    next = pages.next().await;
                }
                fed.store(true, Ordering::Relaxed);
                drop(page_sender);
            }
            .fuse()
        );
        let outcome = loop {
            let limit = self.limit(&output);
            // An incomplete batch is submitted after the flush interval.
            let due = output
                .open_since()
                .map(|since| since + context.engine.flush_interval);
            tokio::select! {
                biased;
                Some(batch) = batches.recv() => self.submit(batch).await,
                outcome = &mut result => {
                    break outcome.unwrap_or_else(|_| {
                        Err(Failure::new(FailureKind::Stopped, "the poll was ended"))
                    });
                }
                () = &mut feed => {}
                () = output.batch_started() => {}
                () = self.cancellation.cancelled() => break Err(self.cancelled()),
                () = sleep_until(due.unwrap_or(limit)), if due.is_some() => {
                    self.submit_rest(&mut batches, &output).await;
                }
                () = sleep_until(limit) => {
                    // A result may have arrived since the limit was computed.
                    if self.limit(&output) <= Instant::now() {
                        break Err(Failure::new(FailureKind::Stopped, self.late_text(started)));
                    }
                }
            }
        };
        if !fed.load(Ordering::Relaxed) {
            // The pollster returned before it had received all pages.
            self.observer.incomplete.store(true, Ordering::Relaxed);
        }
        cancellation.cancel();
        self.end(&mut task).await;
        if !task.is_finished() {
            events::poll_hung(&self.def.pollster.name, &context.frame.cycle);
            self.state.hung.lock().push(task);
        }
        // Samples that were reported before a panic or the deadline are valid.
        self.submit_rest(&mut batches, &output).await;
        self.observer.record.lock().duration = started.elapsed();
        outcome
    }

    /// Submits everything that has been reported so far, in order, including incomplete batches.
    async fn submit_rest(&mut self, batches: &mut mpsc::Receiver<ReportedBatch>, output: &RunOutput) {
        // Taken first: full batches are sent under the output's lock, so that all earlier ones are in the channel.
        let rest = output.take();
        while let Ok(batch) = batches.try_recv() {
            self.submit(batch).await;
        }
        for batch in rest {
            self.submit(batch).await;
        }
    }

    /// When the run is aborted if no further result arrives.
    fn limit(&self, output: &RunOutput) -> Instant {
        let deadline = self.context.frame.deadline;
        self.def
            .timeout
            .map_or(deadline, |timeout| deadline.min(output.last_result() + timeout))
    }

    fn late_text(&self, started: Instant) -> String {
        match self.def.timeout {
            Some(timeout) if Instant::now() < self.context.frame.deadline => {
                format!(
                    "no result for {timeout:?} (the source's timeout); aborted after {:.1?}",
                    started.elapsed()
                )
            }
            _ => format!(
                "the deadline of the cycle was reached; aborted after {:.1?}",
                started.elapsed()
            ),
        }
    }

    /// Lets the task end by itself, then aborts it. If it still runs, it blocks its thread.
    async fn end(&self, task: &mut JoinHandle<()>) {
        let grace = GRACE.min(margin(self.context.frame.interval) / 4);
        if timeout(grace, &mut *task).await.is_ok() {
            return;
        }
        task.abort();
        let _ = timeout(grace, task).await;
    }

    /// Adds the names of projects and users to samples, if names are enabled and known.
    async fn add_names(&self, samples: &mut [Sample]) {
        let Some(names) = &self.def.pollster.names else {
            return;
        };
        let named = std::panic::AssertUnwindSafe(names::add(samples, &**names)).catch_unwind();
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => {}
            named = named => if let Err(panic) = named {
                events::names_panicked(&panicked(panic.as_ref()));
            }
        }
    }

    async fn submit(&mut self, batch: ReportedBatch) {
        let ReportedBatch {
            mut samples,
            at,
            tag,
            resources,
            ..
        } = batch;
        self.add_names(&mut samples).await;
        // Samples from before the end of the lease may be submitted after it, and doubt about the lease may pass, so the
        // fence is checked for each batch.
        if let Some(fence) = &self.fence
            && !fence.allows(at).await
        {
            self.observer.record.lock().fenced += samples.len() as u64;
            return;
        }
        self.observer.record.lock().samples += samples.len() as u64;
        let context = &self.context;
        let mut batch = Batch::new(samples, context.engine.sample_source.clone())
            .signed_by(context.engine.notifier.signer())
            .made_at(context.engine.clock.wall())
            .of_run(self.run.clone())
            .of_resources(resources);
        if let Some(sources) = (tag as usize)
            .checked_sub(1)
            .and_then(|set| self.sources.get(set))
        {
            batch = batch.for_sources(sources.clone());
        }
        self.receipts
            .add(context.engine.notifier.submit(Arc::new(batch)).await);
    }
}

/// Observes the outcome of each resource of a run.
struct Observer {
    state: Arc<RunState>,
    hasher: KeyHasher,
    record: Mutex<PollRecord>,
    context: Arc<CycleContext>,
    unreachable: AtomicBool,
    /// Whether the pollster may not have received all resources.
    incomplete: AtomicBool,
    /// Whether a publisher tracks the run.
    tracks_resources: bool,
    /// The failed resources, for those publishers.
    failed: Mutex<Vec<FailedResource>>,
    /// The index of the sources' set for each key hash, if it differs between resources.
    tags: OnceLock<HashMap<u128, usize>>,
}

impl PageFilter for Observer {
    /// Rejects resources that are backed off.
    fn accepts(&self, hash: u128) -> bool {
        let backed_off = &self.state.backed_off;
        if backed_off.is_empty() {
            return true;
        }
        // A takeover is part of a cycle, so it does not count as a cycle of the backoff.
        let skipped = match self.context.frame.takeover {
            None => backed_off.skip_cycle(hash),
            Some(_) => backed_off.contains(hash),
        };
        if skipped {
            self.record.lock().backed_off += 1;
        }
        !skipped
    }

    fn unreachable(&self) {
        self.unreachable.store(true, Ordering::Relaxed);
    }

    fn incomplete(&self) {
        self.incomplete.store(true, Ordering::Relaxed);
    }
}

impl Observer {
    fn note(&self, resource: Option<Arc<str>>, failure: &Failure) {
        let mut record = self.record.lock();
        record.failures.add(failure.kind());
        if record.notes.len() < MAX_DESCRIBED {
            record.notes.push(FailureNote::new(resource, failure));
        }
    }

    fn run_failed(&self, failure: &Failure) {
        if failure.kind() == FailureKind::Unreachable {
            self.unreachable.store(true, Ordering::Relaxed);
        }
        self.note(None, failure);
        let pollster = self.record.lock().pollster.clone();
        events::poll_failed(&pollster, &self.context.frame.cycle, failure);
    }
}

impl RunObserver for Observer {
    fn reported(&self, resource: &Resource) {
        self.record.lock().resources += 1;
        if !self.state.backed_off.is_empty() {
            self.state.backed_off.succeeded(self.hasher.hash(resource.key()));
        }
    }

    fn failed(&self, resource: &Resource, failure: Failure) {
        if failure.kind() == FailureKind::Permanent {
            let context = &self.context;
            self.state.backed_off.failed(
                self.hasher.hash(resource.key()),
                resource.key(),
                failure.chain(),
                context.frame.interval,
                context.engine.clock.wall(),
            );
        }
        if self.tracks_resources {
            let failed = FailedResource::new(resource.key().clone(), failure.kind());
            self.failed.lock().push(failed);
        }
        self.note(Some(resource.key().clone()), &failure);
    }

    fn tag(&self, resource: &Resource) -> u32 {
        let Some(tags) = self.tags.get() else { return 0 };
        let set = tags.get(&self.hasher.hash(resource.key()));
        set.and_then(|set| u32::try_from(set + 1).ok()).unwrap_or(0)
    }

    fn tracks_resources(&self) -> bool {
        self.tracks_resources
    }

    fn defect(&self, message: String) {
        self.note(None, &Failure::new(FailureKind::Defect, message));
    }
}
