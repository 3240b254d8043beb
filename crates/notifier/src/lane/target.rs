//! A publisher with its properties.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nephoscope_model::Encoding;
use nephoscope_plugin::Publisher;

use crate::options::MAX_IN_FLIGHT;
use crate::spool::AcceptedContents;

/// A publisher with its properties, which are queried once: the calls may panic, and the values must not change.
pub(crate) struct Target {
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) url_shown: String,
    /// The limit on its in-flight batches.
    pub(crate) max_in_flight: usize,
    /// The encoding that a spool stores for it, if it has one.
    pub(crate) encoding: Option<Arc<dyn Encoding>>,
    /// The contents of a spool that it accepts.
    pub(crate) accepts: AcceptedContents,
    /// Whether it follows runs.
    pub(crate) follows_runs: bool,
}

impl Target {
    pub(crate) fn new(publisher: Arc<dyn Publisher>, url_shown: String) -> Self {
        let max_in_flight = guarded(|| publisher.in_flight(), 1).clamp(1, MAX_IN_FLIGHT);
        // An invalid name cannot be stored.
        let encoding = guarded(|| publisher.encoding(), None).filter(|encoding| encoding.id().is_valid());
        let accepts = || AcceptedContents::of(encoding.as_deref(), |kind| publisher.accepts(kind));
        let accepts = guarded(accepts, AcceptedContents::of(None, |_| false));
        let follows_runs = guarded(|| publisher.follows_runs(), false);
        Self {
            publisher,
            url_shown,
            max_in_flight,
            encoding,
            accepts,
            follows_runs,
        }
    }
}

/// Calls a method of a publisher; returns `default` if it panics.
fn guarded<T>(call: impl FnOnce() -> T, default: T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(default)
}
