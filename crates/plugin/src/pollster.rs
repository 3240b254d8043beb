//! Plugins that measure resources.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{CycleId, Resource};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Unlimited;
use crate::{Admission, Call, CallRate, CycleCache, Failure, Page, Permit, Report, SampleSink, Stopped};

/// Measures resources.
///
/// One call serves all wanted meters of all resources that this agent polls in a cycle:
///
/// ```
/// use nephoscope_plugin::model::Subject;
/// use nephoscope_plugin::{Failure, PollRun, Pollster, async_trait};
///
/// struct Length;
///
/// #[async_trait]
/// impl Pollster for Length {
///     async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
///         while let Some(page) = run.next_page().await {
///             for resource in page.iter() {
///                 let subject = Subject::new(resource.key().clone()).shared();
///                 let mut report = run.report(resource);
///                 report.add("key.length", &subject, resource.key().len() as u64);
///                 report.send().await?;
///             }
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Pollster: Send + Sync + 'static {
    /// Measures the wanted meters of the resources of `run`.
    ///
    /// # Errors
    ///
    /// What ended the poll early. A resource that cannot be measured is no reason to end it: see [`PollRun::fail`].
    /// Reports that were sent before stay valid.
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure>;

    /// How often a call that the pollster declares is made with the options that it has, when these meters are wanted;
    /// `None`: never.
    fn rate(&self, call: &Call, wanted: &[Arc<str>]) -> Option<CallRate> {
        // Most make the same calls for one meter as for all.
        let _ = wanted;
        Some(call.rate)
    }
}

/// What a pollster may know of its run; cheap to clone into tasks of its own.
#[derive(Clone)]
#[non_exhaustive]
pub struct PollContext {
    /// The cycle: its identity and number. (Never ask the clock which cycle this is.)
    pub cycle: CycleId,
    /// When the run must have ended; it is cut off then.
    pub deadline: Instant,
    /// Cancelled when the run is to end: deadline, reload, end of the program.
    pub cancellation: CancellationToken,
    /// What the plugins of this cycle share.
    pub cache: CycleCache,
    /// How many agents poll resources of the same listings in this cycle, this one included: a budget of requests to a
    /// service that they all ask is divided by it. 1 for the host's own resources, and for a listing that one agent polls
    /// as a whole.
    pub members: NonZeroUsize,
    admission: Arc<dyn Admission>,
}

impl PollContext {
    /// For the engine and the testing kit: the context of a run that no other agent shares, without limits of endpoints.
    pub fn new(
        cycle: CycleId,
        deadline: Instant,
        cancellation: CancellationToken,
        cache: CycleCache,
    ) -> Self {
        Self {
            cycle,
            deadline,
            cancellation,
            cache,
            members: NonZeroUsize::MIN,
            admission: Arc::new(Unlimited),
        }
    }

    /// For the engine and the testing kit: so many agents share the work.
    #[must_use]
    pub fn members(mut self, members: NonZeroUsize) -> Self {
        self.members = members;
        self
    }

    /// For the engine: who gives out places at endpoints.
    #[must_use]
    pub fn admission(mut self, admission: Arc<dyn Admission>) -> Self {
        self.admission = admission;
        self
    }

    /// Waits for a place at an endpoint that this pollster chooses for a resource, for example one device of many. At most
    /// `agent.limits.max_concurrent_polls_per_endpoint` places of one endpoint are given out at once, to all polls of the agent together. Hold one
    /// place at a time, and only while the endpoint is asked.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the run is to end; return it with `?`.
    pub async fn admit(&self, endpoint: impl Into<Arc<str>>) -> Result<Permit, Stopped> {
        let endpoint = endpoint.into();
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => Err(Stopped),
            permit = self.admission.admit(&endpoint) => Ok(permit),
        }
    }
}

/// One run of a pollster: its resources, what is wanted of them, and where reports go.
pub struct PollRun {
    context: PollContext,
    pages: mpsc::Receiver<Page>,
    sink: SampleSink,
}

impl PollRun {
    /// For the engine and the testing kit.
    pub fn new(context: PollContext, pages: mpsc::Receiver<Page>, sink: SampleSink) -> Self {
        Self { context, pages, sink }
    }

    /// The next resources to measure, as their discovery finds them; `None` at the end of the listing, and
    /// when the run is to end.
    pub async fn next_page(&mut self) -> Option<Page> {
        tokio::select! {
            biased;
            () = self.context.cancellation.cancelled() => None,
            page = self.pages.recv() => page,
        }
    }

    /// Whether samples of this meter are wanted; those of others are dropped, so that what only serves
    /// them need not be fetched.
    pub fn wants(&self, meter: &str) -> bool {
        self.sink.wants(meter)
    }

    /// Begins the report on one resource. Nothing counts until it is sent.
    pub fn report<'a>(&'a mut self, resource: &'a Resource) -> Report<'a> {
        self.sink.report(resource)
    }

    /// Says that `resource` could not be measured. The others are not touched by it.
    pub fn fail(&mut self, resource: &Resource, failure: Failure) {
        self.sink.fail(resource, failure);
    }

    /// The cycle, deadline, cancellation and cache, and the places at endpoints.
    pub fn context(&self) -> &PollContext {
        &self.context
    }

    /// The cycle: its identity and number.
    pub fn cycle(&self) -> &CycleId {
        &self.context.cycle
    }
}

impl std::fmt::Debug for PollRun {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PollRun")
            .field("cycle", &self.context.cycle)
            .finish_non_exhaustive()
    }
}

/// Pollsters are shared between tasks.
const _: fn(Arc<dyn Pollster>) = |pollster| {
    fn shared<T: Send + Sync>(_: T) {}
    shared(pollster);
};
