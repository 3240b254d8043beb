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
/// One call measures all collected meters of all resources that this agent polls in a cycle:
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
    /// Measures the collected meters of the resources of `run`.
    ///
    /// # Errors
    ///
    /// What ended the poll early. A resource that cannot be measured does not end it: see [`PollRun::fail`]. Reports that
    /// were already sent stay valid.
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure>;

    /// How often the pollster makes a declared call with its current options when these meters are collected; `None`: never.
    fn rate(&self, call: &Call, wanted: &[Arc<str>]) -> Option<CallRate> {
        // Most pollsters make the same calls for one meter as for all.
        let _ = wanted;
        Some(call.rate)
    }
}

/// The context of a run. Cheap to clone, for tasks that the pollster starts.
#[derive(Clone)]
#[non_exhaustive]
pub struct PollContext {
    /// The cycle: its identity and number. Use this instead of the clock.
    pub cycle: CycleId,
    /// When the run must have ended. The engine aborts it then.
    pub deadline: Instant,
    /// Cancelled when the run must end: deadline, reload, end of the program.
    pub cancellation: CancellationToken,
    /// The cache that the plugins of this cycle share.
    pub cache: CycleCache,
    /// How many agents poll resources of the same discoveries in this cycle, including this one. Divide a budget of requests
    /// to a shared service by it. 1 for the host's own resources, and for a discovery that one agent polls as a whole.
    pub members: NonZeroUsize,
    admission: Arc<dyn Admission>,
}

impl PollContext {
    /// The context of a run on one agent, without endpoint limits. For the engine and the testing kit.
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

    /// Sets the number of agents that share the work. For the engine and the testing kit.
    #[must_use]
    pub fn members(mut self, members: NonZeroUsize) -> Self {
        self.members = members;
        self
    }

    /// Sets the issuer of endpoint permits. For the engine.
    #[must_use]
    pub fn admission(mut self, admission: Arc<dyn Admission>) -> Self {
        self.admission = admission;
        self
    }

    /// Waits for a permit for an endpoint that this pollster chooses per resource, for example one of many devices. All polls
    /// of the agent together hold at most `agent.limits.max_concurrent_polls_per_endpoint` permits of one endpoint. Hold one
    /// permit at a time, and only during the request.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the run must end; return it with `?`.
    pub async fn admit(&self, endpoint: impl Into<Arc<str>>) -> Result<Permit, Stopped> {
        let endpoint = endpoint.into();
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => Err(Stopped),
            permit = self.admission.admit(&endpoint) => Ok(permit),
        }
    }
}

/// One run of a pollster: its resources, the meters to collect, and the sink for reports.
pub struct PollRun {
    context: PollContext,
    pages: mpsc::Receiver<Page>,
    sink: SampleSink,
}

impl PollRun {
    /// Creates a run. For the engine and the testing kit.
    pub fn new(context: PollContext, pages: mpsc::Receiver<Page>, sink: SampleSink) -> Self {
        Self { context, pages, sink }
    }

    /// Returns the next resources to measure as their discovery finds them; `None` when all are read, or when the run must
    /// end.
    pub async fn next_page(&mut self) -> Option<Page> {
        tokio::select! {
            biased;
            () = self.context.cancellation.cancelled() => None,
            page = self.pages.recv() => page,
        }
    }

    /// Whether this meter is collected. Samples of other meters are dropped, so the pollster need not fetch what only they
    /// need.
    pub fn wants(&self, meter: &str) -> bool {
        self.sink.wants(meter)
    }

    /// Starts the report on one resource. It has no effect until it is sent.
    pub fn report<'a>(&'a mut self, resource: &'a Resource) -> Report<'a> {
        self.sink.report(resource)
    }

    /// Reports that `resource` could not be measured. Other resources are not affected.
    pub fn fail(&mut self, resource: &Resource, failure: Failure) {
        self.sink.fail(resource, failure);
    }

    /// The context: cycle, deadline, cancellation, cache and endpoint permits.
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
