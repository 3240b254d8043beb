//! One pollster run of a cycle: its resources in, its samples out, and an end in any case.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use nephoscope_coordination::{Group, Plan, Unit};
use nephoscope_model::{Batch, Resource, RunIds, Sample};
use nephoscope_notifier::ReceiptSet;
use nephoscope_plugin::{
    Failure, FailureKind, Page, PartitionMode, PollContext, PollRun, RunObserver, RunOutput, SampleSink,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cycle::CycleContext;
use crate::events;
use crate::keyhash::{KeyHasher, KeySet};
use crate::listing::{ListingEnd, Reader, panicked};
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
    /// A run that blocks its thread and was left behind.
    left_behind: Mutex<Option<JoinHandle<()>>>,
}

impl RunState {
    /// Whether a run before still blocks its thread.
    pub fn hangs(&self) -> bool {
        self.left_behind
            .lock()
            .as_ref()
            .is_some_and(|task| !task.is_finished())
    }
}

/// A run and its readers, ready to begin.
pub struct Run {
    pub(crate) def: Arc<RunDef>,
    pub(crate) state: Arc<RunState>,
    pub(crate) inputs: Vec<InputReaders>,
    pub(crate) context: Arc<CycleContext>,
    /// The division of shared units; `None` for runs on the host's own resources.
    pub(crate) plan: Option<Arc<dyn Plan>>,
}

/// The readers of one source's resources.
pub struct InputReaders {
    pub(crate) listings: Vec<Reader>,
    pub(crate) fallback: Option<Reader>,
}

/// What a run leaves when it has ended.
pub struct RunEnd {
    /// What ran.
    pub def: Arc<RunDef>,
    /// For the cycle's record.
    pub record: PollRecord,
    /// The receipts of its samples.
    pub receipts: ReceiptSet,
    /// Whether it could not reach its service at all.
    pub unreachable: bool,
}

impl Run {
    /// Runs to the end: never longer than the cycle's deadline and a grace of 0.1 s.
    pub async fn run(self) -> RunEnd {
        let Self {
            def,
            state,
            inputs,
            context,
            plan,
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
            fenced: false,
            def,
            state,
            context,
            observer: observer.clone(),
            plan,
        };
        let outcome = worker.work(inputs).await;
        if let Err(failure) = outcome {
            observer.run_failed(&failure);
        }
        let record = std::mem::take(&mut *observer.record.lock());
        RunEnd {
            def: worker.def,
            record,
            receipts: worker.receipts,
            unreachable: observer.unreachable.load(Ordering::Relaxed),
        }
    }
}

struct Worker {
    def: Arc<RunDef>,
    state: Arc<RunState>,
    context: Arc<CycleContext>,
    observer: Arc<Observer>,
    plan: Option<Arc<dyn Plan>>,
    receipts: ReceiptSet,
    fenced: bool,
}

impl Worker {
    async fn work(&mut self, inputs: Vec<InputReaders>) -> Result<(), Failure> {
        let mut pages = PageSource::new(inputs, self.observer.clone(), self.plan.clone());
        // A pollster without resources is not called, and takes no place of another.
        let context = self.context.clone();
        let first = match before(context.deadline, pages.next()).await {
            Some(Some(first)) => first,
            Some(None) => return Ok(()),
            None => {
                return Err(Failure::new(
                    FailureKind::Stopped,
                    "its resources were not listed in time",
                ));
            }
        };
        if self.state.hangs() {
            return Err(Failure::transient(
                "the poll before still blocks its thread; not started again",
            ));
        }
        let places = before(
            context.deadline,
            context.limits.acquire(self.def.pollster.endpoint.as_ref()),
        )
        .await;
        let Some(_places) = places else {
            return Err(Failure::new(
                FailureKind::Stopped,
                "no other poll ended in time to make a place",
            ));
        };
        self.poll(first, pages).await
    }

    async fn poll(&mut self, first: Page, mut pages: PageSource) -> Result<(), Failure> {
        let began = Instant::now();
        let context = self.context.clone();
        let cancellation = context.cancellation.child_token();
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
        let poll_context = PollContext {
            cycle: context.cycle.clone(),
            deadline: context.deadline,
            cancellation: cancellation.clone(),
            cache: context.cache.clone(),
        };
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
                () = context.cancellation.cancelled() => {
                    break Err(Failure::new(FailureKind::Stopped, "the agent stops"));
                }
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
            *self.state.left_behind.lock() = Some(task);
        }
        // Neither a panic nor a deadline takes back what was reported before.
        self.hand_over_rest(&mut batches, &output).await;
        self.observer.record.lock().duration = began.elapsed();
        outcome
    }

    /// Hands over what has come so far, in order, be its batches full or not.
    async fn hand_over_rest(&mut self, batches: &mut mpsc::Receiver<Vec<Sample>>, output: &RunOutput) {
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

    async fn hand_over(&mut self, samples: Vec<Sample>) {
        let context = &self.context;
        if self.fenced
            || (self.def.lane == Lane::Shared && !context.coordinator.may_hand_over(&context.cycle).await)
        {
            self.fenced = true;
            events::fenced(&context.cycle, samples.len());
            return;
        }
        self.observer.record.lock().samples += samples.len() as u64;
        let batch = Batch::new(samples, context.sample_source.clone())
            .signed_by(context.notifier.signer())
            .made_at(context.clock.wall());
        self.receipts.add(context.notifier.submit(Arc::new(batch)).await);
    }
}

/// `work`, if it ends before `deadline`.
async fn before<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline, work).await.ok()
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
    fn new(inputs: Vec<InputReaders>, observer: Arc<Observer>, plan: Option<Arc<dyn Plan>>) -> Self {
        let filter = Filter {
            seen: KeySet::default(),
            observer,
            plan,
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
            if !self.filter.takes_part(reader.listing().unit()) {
                // What others list is theirs: there is no fallback for this agent either.
                current.listed = true;
                continue;
            }
            match reader.next().await {
                Ok(resources) => {
                    current.listed |= !resources.is_empty();
                    let unit = reader.listing().unit();
                    let page = Page::select(resources, |resource| self.filter.takes(unit, resource));
                    current.reader = Some(reader);
                    if !page.is_empty() {
                        return Some(page);
                    }
                }
                Err(ListingEnd::Complete) => {}
                Err(ListingEnd::Failed(_)) => {
                    current.listed = true;
                    if reader.listing().is_unreachable() {
                        self.filter.observer.unreachable.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}

/// Leaves out what other agents own, what is set aside, and what came before.
struct Filter {
    seen: KeySet,
    observer: Arc<Observer>,
    plan: Option<Arc<dyn Plan>>,
}

impl Filter {
    /// Whether this agent takes part in the unit at all.
    fn takes_part(&self, unit: &Unit) -> bool {
        match (&unit.group, unit.mode, &self.plan) {
            (Group::Host, _, _) => true,
            (Group::Shared, _, None) => false,
            (Group::Shared, PartitionMode::Resource, Some(_)) => true,
            (Group::Shared, PartitionMode::Listing, Some(plan)) => plan.owns_listing(unit),
        }
    }

    fn takes(&self, unit: &Unit, resource: &Resource) -> bool {
        if unit.group == Group::Shared
            && unit.mode == PartitionMode::Resource
            && !self
                .plan
                .as_ref()
                .is_some_and(|plan| plan.owns(unit, resource.key()))
        {
            return false;
        }
        let hash = self.observer.hasher.hash(resource.key());
        if !self.seen.insert(hash) {
            return false;
        }
        let set_aside = &self.observer.state.set_aside;
        if !set_aside.is_empty() && set_aside.skips(hash) {
            self.observer.record.lock().set_aside += 1;
            return false;
        }
        true
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
