//! One pollster run of a cycle: its resources in, its samples out, and an end in any case.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use nephoscope_coordination::Unit;
use nephoscope_model::{Batch, Resource, RunIds, Sample};
use nephoscope_notifier::ReceiptSet;
use nephoscope_plugin::{
    Failure, FailureKind, Page, PollContext, PollRun, Reported, RunObserver, RunOutput, SampleSink,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::cycle::CycleContext;
use crate::events;
use crate::fence::Fence;
use crate::keyhash::{KeyHasher, KeySet};
use crate::listing::{Reader, panicked};
use crate::names;
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
    /// Runs that block their threads and were left behind: one, unless a succession ran beside a cycle.
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

/// The readers of one source's resources.
pub struct InputReaders {
    /// Those that may have resources for this agent. With a `fallback` it is all of them: whether they list anything at
    /// all is what decides about it.
    pub(crate) listings: Vec<Reader>,
    /// Read if `listings` list nothing; `None` if there is none, or nothing of it is this agent's.
    pub(crate) fallback: Option<Reader>,
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
            hasher: context.hasher.clone(),
            record: Mutex::new(PollRecord {
                pollster: def.pollster.name.clone(),
                ..PollRecord::default()
            }),
            context: context.clone(),
            unreachable: AtomicBool::new(false),
        });
        let mut worker = Worker {
            receipts: ReceiptSet::default(),
            def,
            state,
            context,
            observer: observer.clone(),
            cancellation,
            fence,
            members,
        };
        let outcome = worker.work(inputs).await;
        if let Err(failure) = outcome {
            observer.run_failed(&failure);
        }
        let record = std::mem::take(&mut *observer.record.lock());
        if record.fenced > 0 {
            events::fenced(&record.pollster, &worker.context.cycle, record.fenced);
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
}

impl Worker {
    async fn work(&mut self, inputs: Vec<InputReaders>) -> Result<(), Failure> {
        let mut pages = PageSource::new(inputs, self.observer.clone());
        // A pollster without resources is not called, and takes no place of another.
        let context = self.context.clone();
        let Some(first) = self
            .in_time(pages.next(), "its resources were not listed in time")
            .await?
        else {
            return Ok(());
        };
        if self.state.hangs() {
            return Err(Failure::transient(
                "the poll before still blocks its thread; not started again",
            ));
        }
        let places = context.limits.acquire(self.def.pollster.endpoint.as_ref());
        let _places = self
            .in_time(places, "no other poll ended in time to make a place")
            .await?;
        self.poll(first, pages).await
    }

    /// What `work` gives, unless the run is cancelled or its deadline comes before.
    async fn in_time<T>(&self, work: impl Future<Output = T>, late: &'static str) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => Err(self.cancelled()),
            done = timeout_at(self.context.deadline, work) => {
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

    async fn poll(&mut self, first: Page, mut pages: PageSource) -> Result<(), Failure> {
        let began = Instant::now();
        let context = self.context.clone();
        let cancellation = self.cancellation.child_token();
        let (page_sender, page_receiver) = mpsc::channel(PAGES);
        let (batch_sender, mut batches) = mpsc::channel(BATCHES);
        let host = if self.def.lane == Lane::Host {
            context.host.as_ref()
        } else {
            ""
        };
        let (sink, output) = SampleSink::new(
            self.def.table.clone(),
            RunIds::new(host, &context.cycle, &self.def.pollster.name),
            context.clock.wall(),
            context.batch_size,
            batch_sender,
            self.observer.clone(),
        );
        let admission = context.limits.admission(self.def.pollster.endpoint.clone());
        let poll_context = PollContext::new(
            context.cycle.clone(),
            context.deadline,
            cancellation.clone(),
            context.cache.clone(),
        )
        .members(self.members)
        .admission(admission);
        let plugin = self.def.pollster.plugin.clone();
        let (result_sender, mut result) = tokio::sync::oneshot::channel();
        let mut task = context.plugin_runtime.spawn(async move {
            let mut run = PollRun::new(poll_context, page_receiver, sink);
            let outcome = std::panic::AssertUnwindSafe(plugin.poll(&mut run))
                .catch_unwind()
                .await;
            drop(run);
            let _ = result_sender.send(outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))));
        });

        // Pages go in while batches come out.
        let mut feed = pin!(
            async {
                let mut next = Some(first);
                while let Some(page) = next {
                    if page_sender.send(page).await.is_err() {
                        return;
                    }
                    next = pages.next().await;
                }
                drop(page_sender);
            }
            .fuse()
        );
        let outcome = loop {
            let limit = self.limit(&output);
            // A batch that does not fill up is handed over when it is old enough.
            let due = output.open_since().map(|since| since + context.batch_age);
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
        cancellation.cancel();
        self.end(&mut task).await;
        if !task.is_finished() {
            events::poll_hangs(&self.def.pollster.name, &context.cycle);
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
        let deadline = self.context.deadline;
        self.def
            .timeout
            .map_or(deadline, |timeout| deadline.min(output.last_result() + timeout))
    }

    fn late_text(&self, began: Instant) -> String {
        match self.def.timeout {
            Some(timeout) if Instant::now() < self.context.deadline => {
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
        let grace = GRACE.min(crate::cycle::margin(self.context.interval) / 4);
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
        let Reported { mut samples, at, .. } = batch;
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
        let batch = Batch::new(samples, context.sample_source.clone())
            .signed_by(context.notifier.signer())
            .made_at(context.clock.wall());
        self.receipts.add(context.notifier.submit(Arc::new(batch)).await);
    }
}

/// The pages of a run: those of each of its listings, without what is not this run's.
struct PageSource {
    inputs: std::vec::IntoIter<InputReaders>,
    current: Option<CurrentInput>,
    filter: Filter,
}

struct CurrentInput {
    listings: std::vec::IntoIter<Reader>,
    reader: Option<Reader>,
    fallback: Option<Reader>,
    /// Whether anything was listed, or could not be: then there is no fallback.
    listed: bool,
}

impl CurrentInput {
    fn new(input: InputReaders) -> Self {
        Self {
            listings: input.listings.into_iter(),
            reader: None,
            fallback: input.fallback,
            listed: false,
        }
    }

    /// The reader in use; the next one if there is none; the fallback if nothing was listed.
    fn take_reader(&mut self) -> Option<Reader> {
        self.reader
            .take()
            .or_else(|| self.listings.next())
            .or_else(|| if self.listed { None } else { self.fallback.take() })
    }
}

impl PageSource {
    fn new(inputs: Vec<InputReaders>, observer: Arc<Observer>) -> Self {
        let filter = Filter {
            seen: KeySet::default(),
            observer,
        };
        Self {
            inputs: inputs.into_iter(),
            current: None,
            filter,
        }
    }

    /// The next page with resources on it.
    async fn next(&mut self) -> Option<Page> {
        loop {
            let current = match &mut self.current {
                Some(current) => current,
                none => none.insert(CurrentInput::new(self.inputs.next()?)),
            };
            let Some(mut reader) = current.take_reader() else {
                self.current = None;
                continue;
            };
            match reader.next().await {
                Some(page) => {
                    let mut hashes = page.hashes.iter();
                    let page = Page::select(page.resources.clone(), |_| {
                        hashes.next().is_some_and(|hash| self.filter.takes(*hash))
                    });
                    current.reader = Some(reader);
                    if !page.is_empty() {
                        return Some(page);
                    }
                }
                None => {
                    let listing = reader.listing();
                    // What others list is theirs: there is no fallback for this agent either.
                    current.listed |= listing.found_anything();
                    if listing.is_unreachable() && current.fallback.is_some() {
                        // Nobody knows whether there would have been one.
                        self.filter.observer.unreachable.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}

/// Leaves out what came before, and what is set aside.
struct Filter {
    seen: KeySet,
    observer: Arc<Observer>,
}

impl Filter {
    fn takes(&self, hash: u128) -> bool {
        if !self.seen.insert(hash) {
            return false;
        }
        let set_aside = &self.observer.state.set_aside;
        if set_aside.is_empty() {
            return true;
        }
        // A succession is a part of a cycle, and none of those that are counted.
        let skipped = match self.observer.context.succession {
            None => set_aside.skips(hash),
            Some(_) => set_aside.holds(hash),
        };
        if skipped {
            self.observer.record.lock().set_aside += 1;
        }
        !skipped
    }
}

/// Learns what becomes of each resource of a run.
struct Observer {
    state: Arc<RunState>,
    hasher: KeyHasher,
    record: Mutex<PollRecord>,
    context: Arc<CycleContext>,
    unreachable: AtomicBool,
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
        events::poll_failed(&pollster, &self.context.cycle, failure);
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
                context.interval,
                context.clock.wall(),
            );
        }
        self.note(Some(resource.key().clone()), &failure);
    }

    fn defect(&self, message: String) {
        self.note(None, &Failure::new(FailureKind::Defect, message));
    }
}
