//! A listing: one discovery run (or static list) of one cycle with its readers.
//!
//! The first reader that requests a page starts the discovery. A page is stored until every reader has taken it or has left,
//! so 100,000 resources are not in memory at once while the readers keep pace. The discovery waits for its slowest reader, but
//! not indefinitely: pages for a reader that hangs, or is so slow that the others would run out of time, are stored until it
//! reads them.
//!
//! Resources that the plan assigns to other agents are dropped before they are put on a page, and each key is hashed once,
//! regardless of the number of readers.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use nephoscope_coordination::{Share, Unit};
use nephoscope_model::{CycleId, Resource};
use nephoscope_plugin::{CycleCache, DiscoveryRun, DiscoveryRunParts, Failure, FailureKind, WantedMeters};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::keyhash::KeyHasher;
use crate::plugins::LoadedDiscovery;
use crate::record::{DiscoveryRecord, FailureNote};

/// The maximum number of discovered resources that wait for the slowest reader before the discovery pauses.
const MAX_AHEAD: u64 = 10_000;

/// A reader that has taken no page for this long no longer pauses the discovery.
const STALLED: Duration = Duration::from_secs(1);

/// The discovery pauses for readers during the first third of its time; after that pages are stored.
const PACED_FRACTION: u32 = 3;

/// The capacity of the channel for pages from a discovery.
const PAGES: usize = 2;

/// The origin of a listing.
pub enum Origin {
    /// A `resources:` list.
    Static(Arc<Vec<Resource>>),
    /// A discovery and its parameter.
    Discovery {
        /// The discovery.
        discovery: Arc<LoadedDiscovery>,
        /// The part of the URL after the name.
        parameter: Option<String>,
    },
    /// A discovery that is not loaded: an empty listing. The configuration check has already reported it.
    Unknown,
}

/// The definition of a listing in a task.
pub struct ListingDef {
    /// The unit of shared work that it belongs to.
    pub unit: Unit,
    /// Its origin.
    pub origin: Origin,
}

/// The context of a listing in its cycle.
#[derive(Clone)]
pub struct ListingContext {
    /// The cycle.
    pub cycle: CycleId,
    /// When the discovery run must have ended.
    pub deadline: Instant,
    /// The maximum time without a page.
    pub timeout: Option<Duration>,
    /// The maximum number of resources.
    pub limit: usize,
    /// The cache that the plugins of the cycle share.
    pub cache: CycleCache,
    /// The meters that runs collect from its resources.
    pub wanted: WantedMeters,
    /// Cancelled when the cycle ends.
    pub cancellation: CancellationToken,
    /// The runtime for discoveries.
    pub runtime: Handle,
    /// The hasher for the keys on its pages.
    pub hasher: KeyHasher,
}

/// This agent's part of a listing.
#[derive(Debug, Clone)]
pub struct Part {
    /// This agent's share of the resources.
    pub share: Share,
    /// The number of agents that run the discovery.
    pub members: NonZeroUsize,
}

impl Part {
    /// The whole listing, for one agent.
    pub fn whole() -> Self {
        Self {
            share: Share::All,
            members: NonZeroUsize::MIN,
        }
    }

    /// An empty part.
    pub fn empty() -> Self {
        Self {
            share: Share::None,
            members: NonZeroUsize::MIN,
        }
    }
}

/// This agent's resources of a page, with the hashes of their keys.
pub struct ListedPage {
    /// The resources.
    pub resources: Arc<Vec<Resource>>,
    /// One hash for each resource.
    pub hashes: Vec<u128>,
}

/// A discovery run or static list in a cycle, shared by the runs that read it.
pub struct Listing {
    def: Arc<ListingDef>,
    part: Part,
    context: ListingContext,
    state: Mutex<State>,
    /// Pages arrived, or the listing ended.
    filled: Notify,
    /// A reader took a page, or left.
    taken: Notify,
}

#[derive(Default)]
struct State {
    started: bool,
    pages: VecDeque<Arc<ListedPage>>,
    /// The number of the first stored page.
    first: usize,
    readers: HashMap<usize, ReaderState>,
    next_reader: usize,
    /// The number of discovered resources.
    total: u64,
    /// The number of them that were put on pages.
    on_pages: u64,
    ended: Option<Result<(), Arc<FailureNote>>>,
    /// When the discovery was started, and how long it took.
    started_at: Option<Instant>,
    duration: Option<Duration>,
    unreachable: bool,
}

struct ReaderState {
    /// The number of the next page that it takes.
    position: usize,
    /// The number of resources that it has taken.
    taken: u64,
    /// Whether it has started to read; the discovery does not pause for a reader that has not.
    reading: bool,
    last_read: Instant,
}

impl Listing {
    /// Creates a listing that is not started yet.
    pub fn new(def: Arc<ListingDef>, part: Part, context: ListingContext) -> Arc<Self> {
        Arc::new(Self {
            def,
            part,
            context,
            state: Mutex::default(),
            filled: Notify::new(),
            taken: Notify::new(),
        })
    }

    /// The unit of shared work that it belongs to.
    pub fn unit(&self) -> &Unit {
        &self.def.unit
    }

    /// This agent's part.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Adds a reader from the first page on. It must exist before another reader takes the first page.
    pub fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.state.lock();
        let id = state.next_reader;
        state.next_reader += 1;
        let position = state.first;
        state.readers.insert(
            id,
            ReaderState {
                position,
                taken: 0,
                reading: false,
                last_read: Instant::now(),
            },
        );
        Reader {
            listing: self.clone(),
            id,
        }
    }

    /// The record of the discovery run; `None` if it was not started.
    pub fn record(&self) -> Option<DiscoveryRecord> {
        let state = self.state.lock();
        if !state.started || matches!(self.def.origin, Origin::Static(_)) {
            return None;
        }
        let failure = match &state.ended {
            Some(Err(note)) => Some(note.as_ref().clone()),
            _ => None,
        };
        Some(DiscoveryRecord {
            discovery: self.def.unit.discovery.clone(),
            resources: state.total,
            failure,
            duration: state
                .duration
                .or_else(|| state.started_at.map(|start| start.elapsed()))
                .unwrap_or_default(),
        })
    }

    /// Whether its service was unreachable.
    pub fn is_unreachable(&self) -> bool {
        self.state.lock().unreachable
    }

    /// Whether it ended completely: without a failure, and with a loaded discovery.
    pub fn is_complete(&self) -> bool {
        matches!(self.state.lock().ended, Some(Ok(()))) && !matches!(self.def.origin, Origin::Unknown)
    }

    /// Whether it has found any resources so far (this agent's or not), or has failed.
    pub fn found_anything(&self) -> bool {
        let state = self.state.lock();
        state.total > 0 || matches!(state.ended, Some(Err(_)))
    }

    fn start(self: &Arc<Self>) {
        self.state.lock().started_at = Some(Instant::now());
        match &self.def.origin {
            Origin::Unknown => self.end(Ok(())),
            Origin::Static(resources) => {
                let own = match &self.part.share {
                    Share::All => resources.clone(),
                    share => Arc::new(
                        resources
                            .iter()
                            .filter(|resource| share.contains(resource.key()))
                            .cloned()
                            .collect(),
                    ),
                };
                self.put(resources.len(), own);
                self.end(Ok(()));
            }
            Origin::Discovery { .. } => {
                let listing = self.clone();
                self.context
                    .runtime
                    .clone()
                    .spawn(async move { listing.discover().await });
            }
        }
    }

    /// Runs the discovery until it ends or reaches its deadline.
    async fn discover(self: Arc<Self>) {
        let Origin::Discovery { discovery, parameter } = &self.def.origin else {
            return;
        };
        let context = &self.context;
        let (pages, mut arriving) = mpsc::channel(PAGES);
        let cancellation = context.cancellation.child_token();
        let mut run = DiscoveryRun::new(
            DiscoveryRunParts::new(
                context.cycle.clone(),
                context.deadline,
                cancellation.clone(),
                context.cache.clone(),
                pages,
            )
            .parameter(parameter.clone())
            .members(self.part.members)
            .wanted(context.wanted.clone()),
        );
        let plugin = discovery.plugin.clone();
        // In a separate task, so that a discovery that blocks its thread does not delay the pages that arrived.
        let mut task = context.runtime.spawn(async move {
            let outcome = std::panic::AssertUnwindSafe(async {
                let outcome = plugin.discover(&mut run).await;
                // Resources that were found before a failure count.
                let _ = run.flush().await;
                outcome
            })
            .catch_unwind()
            .await;
            drop(run);
            outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
        });
        let outcome = self.receive_pages(&mut arriving).await;
        cancellation.cancel();
        drop(arriving);
        let outcome = match outcome {
            Ok(()) => match timeout_at(context.deadline, &mut task).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => Err(Failure::new(FailureKind::Defect, error.to_string())),
                Err(_) => Err(Failure::new(
                    FailureKind::Stopped,
                    "the discovery run did not end in time",
                )),
            },
            Err(failure) => Err(failure),
        };
        task.abort();
        if let Err(failure) = &outcome
            && !context.cancellation.is_cancelled()
        {
            crate::events::discovery_failed(&self.def.unit.discovery, &context.cycle, failure);
        }
        self.end(outcome);
    }

    /// Receives pages and stores them for the readers until the discovery has no more.
    async fn receive_pages(&self, arriving: &mut mpsc::Receiver<Vec<Resource>>) -> Result<(), Failure> {
        let deadline = self.context.deadline;
        let paced_until =
            Instant::now() + deadline.saturating_duration_since(Instant::now()) / PACED_FRACTION;
        loop {
            let idle = self.context.timeout.map(|timeout| Instant::now() + timeout);
            let until = idle.map_or(deadline, |idle| idle.min(deadline));
            let page = tokio::select! {
                biased;
                () = self.context.cancellation.cancelled() => {
                    return Err(Failure::new(FailureKind::Stopped, "the cycle was ended"));
                }
                page = timeout_at(until, arriving.recv()) => page,
            };
            match page {
                Ok(Some(mut page)) => {
                    let listed = page.len();
                    if !matches!(self.part.share, Share::All) {
                        page.retain(|resource| self.part.share.contains(resource.key()));
                    }
                    let total = self.put(listed, Arc::new(page));
                    if total > self.context.limit as u64 {
                        return Err(Failure::transient(format!(
                            "the discovery run has more than {} resources (agent.limits.max_resources_per_discovery); the rest is ignored",
                            self.context.limit
                        )));
                    }
                    self.wait_for_readers(paced_until).await;
                }
                Ok(None) => return Ok(()),
                Err(_) => {
                    return Err(Failure::new(
                        FailureKind::Stopped,
                        "the discovery run did not end in time",
                    ));
                }
            }
        }
    }

    /// Stores this agent's resources of `listed` discovered ones. Returns the number of resources discovered so far.
    fn put(&self, listed: usize, own: Arc<Vec<Resource>>) -> u64 {
        let hasher = &self.context.hasher;
        let hashes = own.iter().map(|resource| hasher.hash(resource.key())).collect();
        let mut state = self.state.lock();
        state.total += listed as u64;
        state.on_pages += own.len() as u64;
        if !own.is_empty() {
            state.pages.push_back(Arc::new(ListedPage {
                resources: own,
                hashes,
            }));
            state.drop_read_pages();
        }
        let total = state.total;
        drop(state);
        self.filled.notify_waiters();
        total
    }

    fn end(&self, outcome: Result<(), Failure>) {
        let mut state = self.state.lock();
        state.duration = state.started_at.map(|start| start.elapsed());
        if let Err(failure) = &outcome {
            state.unreachable = failure.kind() == FailureKind::Unreachable;
        }
        state.ended = Some(outcome.map_err(|failure| Arc::new(FailureNote::new(None, &failure))));
        drop(state);
        self.filled.notify_waiters();
    }

    /// Waits until the readers have taken enough, have stalled, or the time for pacing is over.
    async fn wait_for_readers(&self, paced_until: Instant) {
        loop {
            let taken = self.taken.notified();
            let stalled_at = {
                let state = self.state.lock();
                let now = Instant::now();
                let waited_for = state
                    .readers
                    .values()
                    .filter(|reader| reader.reading && reader.last_read + STALLED > now);
                match waited_for.min_by_key(|reader| reader.taken) {
                    Some(slowest) if state.on_pages - slowest.taken > MAX_AHEAD => {
                        slowest.last_read + STALLED
                    }
                    _ => return,
                }
            };
            let until = stalled_at.min(paced_until);
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = self.context.cancellation.cancelled() => return,
                _ = timeout_at(until, taken) => {}
            }
        }
    }
}

impl State {
    /// Drops pages that no reader will take.
    fn drop_read_pages(&mut self) {
        let end = self.first + self.pages.len();
        let needed = self
            .readers
            .values()
            .map(|reader| reader.position)
            .min()
            .unwrap_or(end);
        while self.first < needed {
            if self.pages.pop_front().is_none() {
                return;
            }
            self.first += 1;
        }
    }
}

/// A reader of a listing, page by page. Dropping it unregisters the reader.
pub struct Reader {
    listing: Arc<Listing>,
    id: usize,
}

impl Reader {
    /// The listing.
    pub fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }

    /// Returns the next page; `None` when the listing has ended, successfully or not.
    pub async fn next(&mut self) -> Option<Arc<ListedPage>> {
        let start = !std::mem::replace(&mut self.listing.state.lock().started, true);
        if start {
            self.listing.start();
        }
        let listing = self.listing.clone();
        loop {
            let filled = listing.filled.notified();
            tokio::pin!(filled);
            // Registered before the check: a page that arrives in between wakes this reader.
            filled.as_mut().enable();
            if let Some(step) = self.step() {
                return step;
            }
            filled.await;
        }
    }

    /// The result of [`Reader::next`], if it is known without waiting.
    fn step(&mut self) -> Option<Option<Arc<ListedPage>>> {
        let mut guard = self.listing.state.lock();
        let state = &mut *guard;
        let reader = state.readers.get_mut(&self.id)?;
        reader.reading = true;
        reader.last_read = Instant::now();
        if let Some(page) = state.pages.get(reader.position - state.first).cloned() {
            reader.position += 1;
            reader.taken += page.resources.len() as u64;
            state.drop_read_pages();
            drop(guard);
            self.listing.taken.notify_waiters();
            return Some(Some(page));
        }
        state.ended.as_ref().map(|_| None)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.listing.state.lock();
        state.readers.remove(&self.id);
        state.drop_read_pages();
        drop(state);
        self.listing.taken.notify_waiters();
    }
}

/// The message of a panic, as a defect of the plugin.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Failure::new(FailureKind::Defect, format!("the plugin panicked: {text}"))
}
