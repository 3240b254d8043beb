//! How long before the next edge a cycle ends.

use std::time::Duration;

/// The margin that a cycle leaves before the next edge.
pub(crate) fn margin(interval: Duration) -> Duration {
    (interval / 20).min(Duration::from_secs(1))
}
