//! A publisher as its lane knows it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nephoscope_model::Encoding;
use nephoscope_plugin::Publisher;

use crate::options::MAX_IN_FLIGHT;

/// A publisher, and what it has said of itself. It is asked once: it may panic, and its answers must not change.
pub(crate) struct Served {
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) url_shown: String,
    /// How many batches it may have under way.
    pub(crate) in_flight: usize,
    /// The encoding that a spool stores for it, if it can have a spool.
    pub(crate) encoding: Option<Arc<dyn Encoding>>,
    /// Whether it hears when runs end.
    pub(crate) follows_runs: bool,
}

impl Served {
    pub(crate) fn new(publisher: Arc<dyn Publisher>, url_shown: String) -> Self {
        let in_flight = answer(|| publisher.in_flight(), 1).clamp(1, MAX_IN_FLIGHT);
        let encoding = answer(|| publisher.encoding(), None);
        let follows_runs = answer(|| publisher.follows_runs(), false);
        Self {
            publisher,
            url_shown,
            in_flight,
            encoding,
            follows_runs,
        }
    }
}

/// What a publisher answers; `otherwise` where it panics.
fn answer<T>(ask: impl FnOnce() -> T, otherwise: T) -> T {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(otherwise)
}
