//! A publisher as its lane knows it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nephoscope_model::Encoding;
use nephoscope_plugin::Publisher;

use crate::options::MAX_IN_FLIGHT;
use crate::spool::Takes;

/// A publisher, and what it has said of itself. It is asked once: it may panic, and its answers must not change.
pub(crate) struct Served {
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) url_shown: String,
    /// How many batches it may have under way.
    pub(crate) in_flight: usize,
    /// The encoding that a spool stores for it, if it can have a spool.
    pub(crate) encoding: Option<Arc<dyn Encoding>>,
    /// What it takes out of a spool.
    pub(crate) takes: Takes,
    /// Whether it hears when runs end.
    pub(crate) follows_runs: bool,
}

impl Served {
    pub(crate) fn new(publisher: Arc<dyn Publisher>, url_shown: String) -> Self {
        let in_flight = answer(|| publisher.in_flight(), 1).clamp(1, MAX_IN_FLIGHT);
        // A name that cannot be stored would be read as another.
        let encoding = answer(|| publisher.encoding(), None).filter(|encoding| encoding.id().is_valid());
        let takes = || Takes::of(encoding.as_deref(), |kind| publisher.takes(kind));
        let takes = answer(takes, Takes::of(None, |_| false));
        let follows_runs = answer(|| publisher.follows_runs(), false);
        Self {
            publisher,
            url_shown,
            in_flight,
            encoding,
            takes,
            follows_runs,
        }
    }
}

/// What a publisher answers; `otherwise` where it panics.
fn answer<T>(ask: impl FnOnce() -> T, otherwise: T) -> T {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(otherwise)
}
