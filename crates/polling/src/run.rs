//! One pollster run of a cycle: its resources in, its samples out, and an end in any case.

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use nephoscope_coordination::Unit;
use nephoscope_model::{Batch, Resource, RunIds, Sample};
use nephoscope_notifier::ReceiptSet;
use nephoscope_plugin::{
    FailedResource, Failure, FailureKind, Page, PollContext, PollRun, Reported, RunObserver, RunOutcome,
    RunOutput, SampleSink,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::classes::ClassSet;
use crate::context::CycleContext;
use crate::events;
use crate::fence::Fence;
use crate::keyhash::KeyHasher;
use crate::listing::panicked;
use crate::margin::margin;
use crate::names;
use crate::pages::{Divided, InputReaders, PageFilter, PageSource, Pages};
use crate::record::{DESCRIBED, FailureNote, PollRecord};
use crate::setaside::SetAside;
use crate::task::{Lane, RunDef};

/// Pages on the way to a pollster.
const PAGES: usize = 2;

/// Batches on the way from a pollster.
const BATCHES: usize = 16;

/// How long a run that was told to end may take to do so before it is aborted, and again before it is
/// given up as one that blocks its thread; less where the margin before the next edge is short.
const GRACE: Duration = Duration::from_millis(50);

/// What stays of a pollster run from cycle to cycle.
#[derive(Default)]
pub struct RunState {
    /// Resources that are set aside.
    pub set_aside: SetAside,
    /// Runs that block their threads and were left behind: one, unless a takeover ran beside a cycle.
    left_behind: Mutex<Vec<JoinHandle<()>>>,
}

impl RunState {
    /// Whether a run before still blocks its thread.
    pub fn hangs(&self) -> bool {
        let mut left_behind = self.left_behind.lock();
        left_behind.retain(|task| !task.is_finished());
        !left_behind.is_empty()
    }
}

/// A run and its readers, ready to begin.
pub struct Run {
    pub(crate) def: Arc<RunDef>,
    pub(crate) state: Arc<RunState>,
    pub(crate) inputs: Vec<InputReaders>,
    pub(crate) context: Arc<CycleContext>,
    /// Cancelled when it must end at once.
    pub(crate) cancellation: CancellationToken,
    /// Asked before each hand-over; `None` for runs on the host's own resources.
    pub(crate) fence: Option<Fence>,
    /// How many agents poll resources of the same listings.
    pub(crate) members: NonZeroUsize,
}

/// What a run leaves when it has ended.
pub struct RunEnd {
    /// The shared units whose resources it polled.
    pub units: Arc<[Unit]>,
    /// For the cycle's record.
    pub record: PollRecord,
    /// The receipts of its samples.
    pub receipts: Arc<ReceiptSet>,
    /// Whether others should do what it was to do: it could not reach its service at all, was cancelled, or the fence let
    /// samples of it not pass. A poll that failed in any other way is done.
    pub undone: bool,
}

impl Run {
    /// Runs to the end: never longer than the cycle's deadline and a grace of 0.1 s.
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
            follows: context.engine.notifier.follows_runs(),
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
        // A takeover is about some units only: what it has not is still this agent's or another's as before.
        if observer.follows && context.frame.takeover.is_none() {
            context
                .engine
                .notifier
                .run_began(&run, &|key| inputs.iter().any(|input| input.own(key)));
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
        if observer.follows {
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
    /// As publishers see it.
    run: Arc<nephoscope_model::Run>,
    /// Whether the pollster was not called though there are resources.
    skipped: bool,
    /// The sources behind each tag but 0, where not all of them want the same resources.
    sources: Vec<Arc<[Arc<str>]>>,
}

impl Worker {
    async fn work(&mut self, inputs: Vec<InputReaders>) -> Result<(), Failure> {
        let pages = PageSource::new(inputs, self.observer.clone());
        let mut pages = if self.def.is_divided() {
            let read = self.in_time(pages.read_all(), "its resources were not listed in time");
            let read = read.await?;
            self.divide(read)
        } else {
            Pages::Listed(pages)
        };
        // A pollster without resources is not called, and takes no place of another.
        let context = self.context.clone();
        let Some(first) = self
            .in_time(pages.next(), "its resources were not listed in time")
            .await?
        else {
            return Ok(());
        };
        self.skipped = true;
        if self.state.hangs() {
            return Err(Failure::transient(
                "the poll before still blocks its thread; not started again",
            ));
        }
        let places = context.limits.acquire(self.def.pollster.endpoint.as_ref());
        let _places = self
            .in_time(places, "no other poll ended in time to make a place")
            .await?;
        self.skipped = false;
        self.poll(first, pages).await
    }

    /// Takes over which sources want each resource: it becomes the tag of its samples.
    fn divide(&mut self, divided: Divided) -> Pages<Observer> {
        let Divided { pages, sets, of } = divided;
        let wanting = |set: &ClassSet| -> Arc<[Arc<str>]> {
            let sources = self.def.sources.iter();
            let wanting = sources.filter(|(_, class)| set.contains(class));
            wanting.map(|(name, _)| name.clone()).collect()
        };
        self.sources = sets.iter().map(wanting).collect();
        // Nobody has set it before: a run is divided once.
        let _ = self.observer.tags.set(of);
        Pages::Read(pages)
    }

    /// How the run ended, for publishers.
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

    /// What `work` gives, unless the run is cancelled or its deadline comes before.
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
            "this agent has lost its part of the work; others go on with it"
        };
        Failure::new(FailureKind::Stopped, why)
    }

    async fn poll(&mut self, first: Page, mut pages: Pages<Observer>) -> Result<(), Failure> {
        let began = Instant::now();
        let context = self.context.clone();
        let cancellation = self.cancellation.child_token();
        let (page_sender, page_receiver) = mpsc::channel(PAGES);
        let (batch_sender, mut batches) = mpsc::channel(BATCHES);
        let host = if self.def.lane == Lane::Host {
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

        // Pages go in while batches come out.
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
            // A batch that does not fill up is handed over when it is old enough.
            let due = output
                .open_since()
                .map(|since| since + context.engine.flush_interval);
            tokio::select! {
                biased;
                Some(batch) = batches.recv() => self.hand_over(batch).await,
                outcome = &mut result => {
                    break outcome.unwrap_or_else(|_| {
                        Err(Failure::new(FailureKind::Stopped, "the poll was ended"))
                    });
                }
                () = &mut feed => {}
                () = output.batch_begun() => {}
                () = self.cancellation.cancelled() => break Err(self.cancelled()),
                () = sleep_until(due.unwrap_or(limit)), if due.is_some() => {
                    self.hand_over_rest(&mut batches, &output).await;
                }
                () = sleep_until(limit) => {
                    // A result may have come since the limit was worked out.
                    if self.limit(&output) <= Instant::now() {
                        break Err(Failure::new(FailureKind::Stopped, self.late_text(began)));
                    }
                }
            }
        };
        if !fed.load(Ordering::Relaxed) {
            // The pollster has ended before it was given all.
            self.observer.incomplete.store(true, Ordering::Relaxed);
        }
        cancellation.cancel();
        self.end(&mut task).await;
        if !task.is_finished() {
            events::poll_hangs(&self.def.pollster.name, &context.frame.cycle);
            self.state.left_behind.lock().push(task);
        }
        // Neither a panic nor a deadline takes back what was reported before.
        self.hand_over_rest(&mut batches, &output).await;
        self.observer.record.lock().duration = began.elapsed();
        outcome
    }

    /// Hands over what has come so far, in order, be its batches full or not.
    async fn hand_over_rest(&mut self, batches: &mut mpsc::Receiver<Reported>, output: &RunOutput) {
        // Taken first: what is full is sent under the output's lock, so that all before it is in the channel.
        let rest = output.take();
        while let Ok(batch) = batches.try_recv() {
            self.hand_over(batch).await;
        }
        for batch in rest {
            self.hand_over(batch).await;
        }
    }

    /// When the run is ended if no further result comes.
    fn limit(&self, output: &RunOutput) -> Instant {
        let deadline = self.context.frame.deadline;
        self.def
            .timeout
            .map_or(deadline, |timeout| deadline.min(output.last_result() + timeout))
    }

    fn late_text(&self, began: Instant) -> String {
        match self.def.timeout {
            Some(timeout) if Instant::now() < self.context.frame.deadline => {
                format!(
                    "no result came for {timeout:?} (the source's timeout); ended after {:.1?}",
                    began.elapsed()
                )
            }
            _ => format!("the next cycle is near; ended after {:.1?}", began.elapsed()),
        }
    }

    /// Lets the task end by itself, then aborts it. What is left then blocks its thread.
    async fn end(&self, task: &mut JoinHandle<()>) {
        let grace = GRACE.min(margin(self.context.frame.interval) / 4);
        if timeout(grace, &mut *task).await.is_ok() {
            return;
        }
        task.abort();
        let _ = timeout(grace, task).await;
    }

    /// Gives samples the names of their projects and users, where that is wanted and they are known.
    async fn name(&self, samples: &mut [Sample]) {
        let Some(names) = &self.def.pollster.names else {
            return;
        };
        let named = std::panic::AssertUnwindSafe(names::give(samples, &**names)).catch_unwind();
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => {}
            named = named => if let Err(panic) = named {
                events::names_panicked(&panicked(panic.as_ref()));
            }
        }
    }

    async fn hand_over(&mut self, batch: Reported) {
        let Reported {
            mut samples,
            at,
            tag,
            resources,
            ..
        } = batch;
        self.name(&mut samples).await;
        // What came before the lease's end may go after it, and a doubt may have gone: each batch is asked for.
        if let Some(fence) = &self.fence
            && !fence.lets_pass(at).await
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

/// Learns what becomes of each resource of a run.
struct Observer {
    state: Arc<RunState>,
    hasher: KeyHasher,
    record: Mutex<PollRecord>,
    context: Arc<CycleContext>,
    unreachable: AtomicBool,
    /// Whether there may be resources that the pollster was not given.
    incomplete: AtomicBool,
    /// Whether publishers hear of the run.
    follows: bool,
    /// For them: what could not be measured.
    failed: Mutex<Vec<FailedResource>>,
    /// By the hash of a key: which sources want the resource, where that differs.
    tags: OnceLock<HashMap<u128, usize>>,
}

impl PageFilter for Observer {
    /// Leaves out what is set aside.
    fn takes(&self, hash: u128) -> bool {
        let set_aside = &self.state.set_aside;
        if set_aside.is_empty() {
            return true;
        }
        // A takeover is a part of a cycle, and none of those that are counted.
        let skipped = match self.context.frame.takeover {
            None => set_aside.skips(hash),
            Some(_) => set_aside.holds(hash),
        };
        if skipped {
            self.record.lock().set_aside += 1;
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
        if record.notes.len() < DESCRIBED {
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
        if !self.state.set_aside.is_empty() {
            self.state.set_aside.succeeded(self.hasher.hash(resource.key()));
        }
    }

    fn failed(&self, resource: &Resource, failure: Failure) {
        if failure.kind() == FailureKind::Permanent {
            let context = &self.context;
            self.state.set_aside.failed(
                self.hasher.hash(resource.key()),
                resource.key(),
                failure.chain(),
                context.frame.interval,
                context.engine.clock.wall(),
            );
        }
        if self.follows {
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

    fn follows(&self) -> bool {
        self.follows
    }

    fn defect(&self, message: String) {
        self.note(None, &Failure::new(FailureKind::Defect, message));
    }
}
