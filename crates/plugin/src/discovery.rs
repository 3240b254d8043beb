//! Plugins that list resources.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{CycleId, Resource};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Call, CallRate, CycleCache, Failure, Stopped};

/// The number of resources that [`DiscoveryRun::push`] collects into a page.
const PAGE: usize = 500;

/// Lists resources.
///
/// The engine calls it once per cycle and discovery URL, even if several sources and pollsters use the resources. It sends
/// pages as they arrive, so that pollsters work on the first page while it fetches the second.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Lists the resources for `run.parameter()`, page by page.
    ///
    /// # Errors
    ///
    /// What ended the discovery run early. Pages that were already sent stay valid.
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure>;

    /// How often the discovery makes a declared call with its current options; `None`: never.
    fn rate(&self, call: &Call) -> Option<CallRate> {
        Some(call.rate)
    }
}

/// Names of meters.
pub type WantedMeters = Arc<BTreeSet<Arc<str>>>;

/// One run of a discovery: its parameter, its deadline and the channel for its pages.
pub struct DiscoveryRun {
    parts: DiscoveryRunParts,
    open_page: Vec<Resource>,
}

/// The parts of a [`DiscoveryRun`], for the engine and the testing kit.
#[non_exhaustive]
pub struct DiscoveryRunParts {
    /// The part of the discovery URL after the name.
    pub parameter: Option<String>,
    /// The cycle of the run.
    pub cycle: CycleId,
    /// When the run must have ended.
    pub deadline: Instant,
    /// Cancelled when the run must end.
    pub cancellation: CancellationToken,
    /// The cache that the plugins of this cycle share.
    pub cache: CycleCache,
    /// How many agents run this discovery in this cycle.
    pub members: NonZeroUsize,
    /// The meters that pollsters collect from the listed resources.
    pub wanted: WantedMeters,
    /// The channel for pages.
    pub pages: mpsc::Sender<Vec<Resource>>,
}

impl DiscoveryRunParts {
    /// A run without a parameter, for one agent and no pollsters.
    pub fn new(
        cycle: CycleId,
        deadline: Instant,
        cancellation: CancellationToken,
        cache: CycleCache,
        pages: mpsc::Sender<Vec<Resource>>,
    ) -> Self {
        Self {
            parameter: None,
            cycle,
            deadline,
            cancellation,
            cache,
            members: NonZeroUsize::MIN,
            wanted: WantedMeters::default(),
            pages,
        }
    }

    /// Sets the part of the discovery URL after the name.
    #[must_use]
    pub fn parameter(mut self, parameter: Option<String>) -> Self {
        self.parameter = parameter;
        self
    }

    /// Sets how many agents run this discovery in this cycle.
    #[must_use]
    pub fn members(mut self, members: NonZeroUsize) -> Self {
        self.members = members;
        self
    }

    /// Sets the meters that pollsters collect from the listed resources.
    #[must_use]
    pub fn wanted(mut self, wanted: WantedMeters) -> Self {
        self.wanted = wanted;
        self
    }
}

impl DiscoveryRun {
    /// Creates a run. For the engine and the testing kit.
    pub fn new(parts: DiscoveryRunParts) -> Self {
        Self {
            parts,
            open_page: Vec::new(),
        }
    }

    /// The part of the discovery URL after the name: `None` for `name`, `Some("")` for `name://`, `Some("x/y")` for
    /// `name://x/y` and `name:x/y`.
    pub fn parameter(&self) -> Option<&str> {
        self.parts.parameter.as_deref()
    }

    /// The cycle of the run.
    pub fn cycle(&self) -> &CycleId {
        &self.parts.cycle
    }

    /// When the run must have ended. The engine aborts it then.
    pub fn deadline(&self) -> Instant {
        self.parts.deadline
    }

    /// Cancelled when the run must end.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.parts.cancellation
    }

    /// The cache that the plugins of this cycle share.
    pub fn cache(&self) -> &CycleCache {
        &self.parts.cache
    }

    /// How many agents run this discovery in this cycle, including this one. Divide a budget of requests to a service by
    /// it. 1 for the host's own resources, and for a discovery that one agent polls as a whole.
    pub fn members(&self) -> NonZeroUsize {
        self.parts.members
    }

    /// Whether a pollster that reads this discovery collects this meter. If the listing call can return values too, it need
    /// not fetch those that no pollster collects.
    pub fn wants(&self, meter: &str) -> bool {
        self.parts.wanted.contains(meter)
    }

    /// Sends a page. Waits while the pollsters that read it are busy.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when no reader needs further pages; return it with `?`.
    pub async fn send(&mut self, page: Vec<Resource>) -> Result<(), Stopped> {
        self.flush().await?;
        self.send_page(page).await
    }

    /// Adds one resource to the current page, and sends the page when it is full. The engine sends the last page when the
    /// discovery returns.
    ///
    /// # Errors
    ///
    /// As [`DiscoveryRun::send`].
    pub async fn push(&mut self, resource: Resource) -> Result<(), Stopped> {
        self.open_page.push(resource);
        if self.open_page.len() < PAGE {
            return Ok(());
        }
        self.flush().await
    }

    /// Sends the current page. For the engine and the testing kit, at the end of a run.
    pub async fn flush(&mut self) -> Result<(), Stopped> {
        let page = std::mem::take(&mut self.open_page);
        self.send_page(page).await
    }

    async fn send_page(&mut self, page: Vec<Resource>) -> Result<(), Stopped> {
        if page.is_empty() {
            return Ok(());
        }
        self.parts.pages.send(page).await.map_err(|_| Stopped)
    }
}

/// The resources that a pollster run measures: some or all of a discovered page, shared with other runs.
#[derive(Clone, Debug)]
pub struct Page {
    resources: Arc<Vec<Resource>>,
    /// Indices of the resources of this run; `None` is all of them.
    selected: Option<Vec<u32>>,
}

impl Page {
    /// All resources of a page.
    pub fn all(resources: Arc<Vec<Resource>>) -> Self {
        Self {
            resources,
            selected: None,
        }
    }

    /// The resources of a page for which `keep` returns true; it is called once for each, in order.
    pub fn select(resources: Arc<Vec<Resource>>, mut keep: impl FnMut(&Resource) -> bool) -> Self {
        let mut selected = Vec::new();
        for (index, resource) in resources.iter().enumerate() {
            if keep(resource) {
                // Pages are bounded far below 2^32 resources.
                selected.push(u32::try_from(index).unwrap_or(u32::MAX));
            }
        }
        if selected.len() == resources.len() {
            return Self::all(resources);
        }
        Self {
            resources,
            selected: Some(selected),
        }
    }

    /// The resources, in discovery order.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        let (all, some) = match &self.selected {
            None => (self.resources.as_slice(), [].as_slice()),
            Some(selected) => ([].as_slice(), selected.as_slice()),
        };
        all.iter().chain(
            some.iter()
                .filter_map(|index| self.resources.get(*index as usize)),
        )
    }

    /// The number of resources.
    pub fn len(&self) -> usize {
        self.selected.as_ref().map_or(self.resources.len(), Vec::len)
    }

    /// Whether the page is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_returns_the_selected_resources_in_order() {
        let resources = Arc::new(["a", "b", "c"].map(Resource::new).to_vec());
        let keys = |page: &Page| {
            page.iter()
                .map(|resource| resource.key().to_string())
                .collect::<Vec<_>>()
        };
        let some = Page::select(resources.clone(), |resource| &**resource.key() != "b");
        assert_eq!((some.len(), keys(&some)), (2, vec!["a".into(), "c".into()]));
        let all = Page::select(resources.clone(), |_| true);
        assert_eq!((all.len(), keys(&all).len()), (3, 3));
        assert!(Page::select(resources, |_| false).is_empty());
    }
}
