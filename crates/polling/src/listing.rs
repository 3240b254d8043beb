//! One discovery URL or static list in one cycle: asked once, read by many.
//!
//! The first reader that wants a page starts the discovery. Pages stay until every reader has taken them or
//! said that it will not, so 100,000 resources do not stand in memory together while readers keep pace. The
//! discovery waits for its slowest reader, but not for ever: a reader that hangs, or is so slow that the others
//! would run out of time, has the pages wait for it instead of the others.
//!
//! What the plan gives to other agents is dropped before it stands on a page, and each key is hashed once, however many
//! readers there are.

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
use crate::record::{FailureNote, ListingRecord};

/// A discovery stops for its slowest reader when this many resources wait for it.
const AHEAD: u64 = 10_000;

/// A reader that took nothing for this long is not waited for any more.
const STALLED: Duration = Duration::from_secs(1);

/// Readers are waited for during the first third of the time that the listing has; then the pages wait.
const PACED_PART: u32 = 3;

/// Pages on the way from a discovery.
const PAGES: usize = 2;

/// Where a listing comes from.
pub enum Origin {
    /// A `resources:` list.
    Static(Arc<Vec<Resource>>),
    /// A discovery and its parameter.
    Discovery {
        /// The discovery.
        discovery: Arc<LoadedDiscovery>,
        /// What stands behind its name in the URL.
        parameter: Option<String>,
    },
    /// A discovery that is not loaded: an empty listing (the configuration's check has said so).
    Unknown,
}

/// A listing as tasks refer to it.
pub struct ListingDef {
    /// What is shared of it.
    pub unit: Unit,
    /// Where it comes from.
    pub origin: Origin,
}

/// What a listing must know of its cycle.
#[derive(Clone)]
pub struct ListingContext {
    /// The cycle.
    pub cycle: CycleId,
    /// When the listing must have ended.
    pub deadline: Instant,
    /// How long it may stay without a page.
    pub timeout: Option<Duration>,
    /// How many resources it may give.
    pub limit: usize,
    /// What the plugins of the cycle share.
    pub cache: CycleCache,
    /// The meters that runs want of its resources.
    pub wanted: WantedMeters,
    /// Cancelled when the cycle ends.
    pub cancellation: CancellationToken,
    /// Where discoveries run.
    pub runtime: Handle,
    /// For the keys on its pages.
    pub hasher: KeyHasher,
}

/// What of a listing is this agent's.
#[derive(Debug, Clone)]
pub struct Part {
    /// Which of its resources.
    pub share: Share,
    /// How many agents ask for the listing.
    pub members: NonZeroUsize,
}

impl Part {
    /// A listing that is this agent's alone.
    pub fn whole() -> Self {
        Self {
            share: Share::All,
            members: NonZeroUsize::MIN,
        }
    }

    /// Nothing of it.
    pub fn nothing() -> Self {
        Self {
            share: Share::None,
            members: NonZeroUsize::MIN,
        }
    }
}

/// Resources of a listing that are this agent's, with the hashes of their keys.
pub struct ListedPage {
    /// The resources.
    pub resources: Arc<Vec<Resource>>,
    /// One for each resource.
    pub hashes: Vec<u128>,
}

/// A listing in a cycle.
pub struct Listing {
    def: Arc<ListingDef>,
    part: Part,
    context: ListingContext,
    state: Mutex<State>,
    /// Pages came, or the listing ended.
    filled: Notify,
    /// A reader went on, or left.
    taken: Notify,
}

#[derive(Default)]
struct State {
    started: bool,
    pages: VecDeque<Arc<ListedPage>>,
    /// The number of the first page that is kept.
    first: usize,
    readers: HashMap<usize, ReaderState>,
    next_reader: usize,
    /// Resources that were listed.
    total: u64,
    /// Those of them that came on pages.
    kept: u64,
    ended: Option<Result<(), Arc<FailureNote>>>,
    /// From the start of the discovery to its end.
    began: Option<Instant>,
    duration: Option<Duration>,
    unreachable: bool,
}

struct ReaderState {
    /// The page that it takes next.
    position: usize,
    /// How many resources it has taken.
    taken: u64,
    /// Whether it has begun to read; one that has not is never waited for.
    reading: bool,
    moved: Instant,
}

impl Listing {
    /// A listing that nobody has asked for yet.
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

    /// What is shared of it.
    pub fn unit(&self) -> &Unit {
        &self.def.unit
    }

    /// What of it is this agent's.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// A reader from the first page on; it must be there before the first page is taken by another.
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
                moved: Instant::now(),
            },
        );
        Reader {
            listing: self.clone(),
            id,
        }
    }

    /// What became of it; `None` if nobody asked for it.
    pub fn record(&self) -> Option<ListingRecord> {
        let state = self.state.lock();
        if !state.started || matches!(self.def.origin, Origin::Static(_)) {
            return None;
        }
        let failure = match &state.ended {
            Some(Err(note)) => Some(note.as_ref().clone()),
            _ => None,
        };
        Some(ListingRecord {
            listing: self.def.unit.discovery.clone(),
            resources: state.total,
            failure,
            duration: state
                .duration
                .or_else(|| state.began.map(|began| began.elapsed()))
                .unwrap_or_default(),
        })
    }

    /// Whether its service could not be reached at all.
    pub fn is_unreachable(&self) -> bool {
        self.state.lock().unreachable
    }

    /// Whether it has ended, and nothing was left out: no failure, and no discovery that is not loaded.
    pub fn is_complete(&self) -> bool {
        matches!(self.state.lock().ended, Some(Ok(()))) && !matches!(self.def.origin, Origin::Unknown)
    }

    /// Whether it has listed anything so far, this agent's or not, or could not be listed in full.
    pub fn found_anything(&self) -> bool {
        let state = self.state.lock();
        state.total > 0 || matches!(state.ended, Some(Err(_)))
    }

    fn start(self: &Arc<Self>) {
        self.state.lock().began = Some(Instant::now());
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

    /// Runs the discovery to its end, and never past its deadline.
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
        // A task of its own: a discovery that blocks its thread does not keep the pages that came.
        let mut task = context.runtime.spawn(async move {
            let outcome = std::panic::AssertUnwindSafe(async {
                let outcome = plugin.discover(&mut run).await;
                // What was listed before a failure counts.
                let _ = run.flush().await;
                outcome
            })
            .catch_unwind()
            .await;
            drop(run);
            outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
        });
        let outcome = self.take_pages(&mut arriving).await;
        cancellation.cancel();
        drop(arriving);
        let outcome = match outcome {
            Ok(()) => match timeout_at(context.deadline, &mut task).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => Err(Failure::new(FailureKind::Defect, error.to_string())),
                Err(_) => Err(Failure::new(
                    FailureKind::Stopped,
                    "the listing did not end in time",
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

    /// Puts pages where readers find them, until the discovery has no more.
    async fn take_pages(&self, arriving: &mut mpsc::Receiver<Vec<Resource>>) -> Result<(), Failure> {
        let deadline = self.context.deadline;
        let paced_until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / PACED_PART;
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
                            "the listing has more than {} resources (agent.limits.max_resources_per_discovery); the rest is left out",
                            self.context.limit
                        )));
                    }
                    self.wait_for_readers(paced_until).await;
                }
                Ok(None) => return Ok(()),
                Err(_) => {
                    return Err(Failure::new(
                        FailureKind::Stopped,
                        "the listing did not end in time",
                    ));
                }
            }
        }
    }

    /// Of so many resources that were listed, these are this agent's. Gives how many were listed so far.
    fn put(&self, listed: usize, own: Arc<Vec<Resource>>) -> u64 {
        let hasher = &self.context.hasher;
        let hashes = own.iter().map(|resource| hasher.hash(resource.key())).collect();
        let mut state = self.state.lock();
        state.total += listed as u64;
        state.kept += own.len() as u64;
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
        state.duration = state.began.map(|began| began.elapsed());
        if let Err(failure) = &outcome {
            state.unreachable = failure.kind() == FailureKind::Unreachable;
        }
        state.ended = Some(outcome.map_err(|failure| Arc::new(FailureNote::new(None, &failure))));
        drop(state);
        self.filled.notify_waiters();
    }

    /// Waits until readers have taken enough, have stalled, or the time for waiting is over.
    async fn wait_for_readers(&self, paced_until: Instant) {
        loop {
            let taken = self.taken.notified();
            let stalled_at = {
                let state = self.state.lock();
                let now = Instant::now();
                let waited_for = state
                    .readers
                    .values()
                    .filter(|reader| reader.reading && reader.moved + STALLED > now);
                match waited_for.min_by_key(|reader| reader.taken) {
                    Some(slowest) if state.kept - slowest.taken > AHEAD => slowest.moved + STALLED,
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
    /// Forgets pages that no reader will take.
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

/// Reads a listing page by page. Dropping it tells the listing that it takes no more.
pub struct Reader {
    listing: Arc<Listing>,
    id: usize,
}

impl Reader {
    /// The listing.
    pub fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }

    /// The next page; `None` when the listing has ended, whatever ended it.
    pub async fn next(&mut self) -> Option<Arc<ListedPage>> {
        let start = !std::mem::replace(&mut self.listing.state.lock().started, true);
        if start {
            self.listing.start();
        }
        let listing = self.listing.clone();
        loop {
            let filled = listing.filled.notified();
            tokio::pin!(filled);
            // Registered before the look: a page that comes in between wakes this reader.
            filled.as_mut().enable();
            if let Some(step) = self.step() {
                return step;
            }
            filled.await;
        }
    }

    /// What [`Reader::next`] gives, if that is known.
    fn step(&mut self) -> Option<Option<Arc<ListedPage>>> {
        let mut guard = self.listing.state.lock();
        let state = &mut *guard;
        let reader = state.readers.get_mut(&self.id)?;
        reader.reading = true;
        reader.moved = Instant::now();
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

/// What a panic says, as a defect of the plugin.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Failure::new(FailureKind::Defect, format!("the plugin panicked: {text}"))
}
