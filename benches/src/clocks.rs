//! The clocks that figures are read from.

use std::time::Duration;

use nephoscope_model::Timestamp;
use nephoscope_polling::clock::{Clock, SystemClock};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process, all threads.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // Neither part is ever negative.
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    SystemClock.wall()
}

/// How long ago, in milliseconds.
pub(crate) fn millis_since(time: Timestamp) -> f64 {
    (wall().as_micros() - time.as_micros()) as f64 / 1000.0
}
