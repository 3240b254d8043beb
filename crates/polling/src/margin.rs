//! The margin between the end of a cycle and the next edge.

use std::time::Duration;

/// Returns the margin for an interval.
pub(crate) fn margin(interval: Duration) -> Duration {
    (interval / 20).min(Duration::from_secs(1))
}
