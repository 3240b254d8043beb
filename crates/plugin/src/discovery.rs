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

/// How many resources [`DiscoveryRun::push`] puts on a page.
const PAGE: usize = 500;

/// Lists resources.
///
/// Called once per cycle and discovery URL, however many sources and pollsters use the listing. It hands
/// pages on as they come, so that pollsters work on the first page while the second is fetched.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Lists the resources that `run.parameter()` asks for, page by page.
    ///
    /// # Errors
    ///
    /// What ended the listing early. Pages that were sent before stay valid.
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure>;

    /// How often a call that the discovery declares is made with the options that it has; `None`: never.
    fn rate(&self, call: &Call) -> Option<CallRate> {
        Some(call.rate)
    }
}

/// Names of meters.
pub type WantedMeters = Arc<BTreeSet<Arc<str>>>;

/// One call of a discovery: what is asked, by when, and where the pages go.
pub struct DiscoveryRun {
    parts: DiscoveryRunParts,
    open_page: Vec<Resource>,
}

/// What a [`DiscoveryRun`] is made of; for the engine and the testing kit.
#[non_exhaustive]
pub struct DiscoveryRunParts {
    /// What stands behind the discovery's name in its URL.
    pub parameter: Option<String>,
    /// The cycle that asks.
    pub cycle: CycleId,
    /// When the listing must have ended.
    pub deadline: Instant,
    /// Cancelled when the listing is not wanted any more.
    pub cancellation: CancellationToken,
    /// What the plugins of this cycle share.
    pub cache: CycleCache,
    /// How many agents ask for this listing in this cycle.
    pub members: NonZeroUsize,
    /// The meters that pollsters want of the listed resources.
    pub wanted: WantedMeters,
    /// Where pages go.
    pub pages: mpsc::Sender<Vec<Resource>>,
}

impl DiscoveryRunParts {
    /// A listing without a parameter, that no other agent asks for and no pollster reads.
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

    /// What is behind the discovery's name in its URL.
    #[must_use]
    pub fn parameter(mut self, parameter: Option<String>) -> Self {
        self.parameter = parameter;
        self
    }

    /// How many agents ask for this listing in this cycle.
    #[must_use]
    pub fn members(mut self, members: NonZeroUsize) -> Self {
        self.members = members;
        self
    }

    /// The meters that pollsters want of the listed resources.
    #[must_use]
    pub fn wanted(mut self, wanted: WantedMeters) -> Self {
        self.wanted = wanted;
        self
    }
}

impl DiscoveryRun {
    /// For the engine and the testing kit.
    pub fn new(parts: DiscoveryRunParts) -> Self {
        Self {
            parts,
            open_page: Vec::new(),
        }
    }

    /// What stands behind the name in the discovery URL: `None` for `name`, `Some("")` for `name://`,
    /// `Some("x/y")` for `name://x/y` and `name:x/y`.
    pub fn parameter(&self) -> Option<&str> {
        self.parts.parameter.as_deref()
    }

    /// The cycle that asks.
    pub fn cycle(&self) -> &CycleId {
        &self.parts.cycle
    }

    /// When the listing must have ended; it is cut off then.
    pub fn deadline(&self) -> Instant {
        self.parts.deadline
    }

    /// Cancelled when the listing is not wanted any more.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.parts.cancellation
    }

    /// What the plugins of this cycle share.
    pub fn cache(&self) -> &CycleCache {
        &self.parts.cache
    }

    /// How many agents ask for this listing in this cycle, this one included: a budget of requests to a service is divided
    /// by it. 1 for the host's own resources, and for a listing that one agent polls as a whole.
    pub fn members(&self) -> NonZeroUsize {
        self.parts.members
    }

    /// Whether a pollster that reads this listing wants samples of this meter: where the call that lists resources
    /// brings values too, it need not bring those that nobody wants.
    pub fn wants(&self, meter: &str) -> bool {
        self.parts.wanted.contains(meter)
    }

    /// Hands a page on. Waits while the pollsters that use the listing are busy.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when nobody wants further pages; return it with `?`.
    pub async fn send(&mut self, page: Vec<Resource>) -> Result<(), Stopped> {
        self.flush().await?;
        self.hand_on(page).await
    }

    /// Puts one resource on the open page, and hands the page on when it is full. The engine hands on the
    /// last page itself when the discovery returns.
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

    /// Hands on the open page; for the engine and the testing kit, at the end of a listing.
    pub async fn flush(&mut self) -> Result<(), Stopped> {
        let page = std::mem::take(&mut self.open_page);
        self.hand_on(page).await
    }

    async fn hand_on(&mut self, page: Vec<Resource>) -> Result<(), Stopped> {
        if page.is_empty() {
            return Ok(());
        }
        self.parts.pages.send(page).await.map_err(|_| Stopped)
    }
}

/// Resources of a listing that a pollster run is to measure: some or all of a page, shared with other runs.
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

    /// The resources of a page that `keep` says yes to; it is asked once for each, in order.
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

    /// The resources, in the listing's order.
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

    /// How many resources.
    pub fn len(&self) -> usize {
        self.selected.as_ref().map_or(self.resources.len(), Vec::len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gives_the_selected_resources_in_order() {
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
