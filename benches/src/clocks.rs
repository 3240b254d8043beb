//! The clocks of the benchmarks, and the memory of this process.

use std::time::Duration;

use nephoscope_model::Timestamp;
use nephoscope_polling::clock::{Clock, SystemClock};
use rustix::time::{ClockId, clock_gettime};

use crate::error::{BenchError, Context};

/// Returns the CPU time of all threads of this process.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // Neither part is ever negative.
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Returns the wall clock.
pub(crate) fn wall() -> Timestamp {
    SystemClock.wall()
}

/// Returns the milliseconds since a time.
pub(crate) fn millis_since(time: Timestamp) -> f64 {
    (wall().as_micros() - time.as_micros()) as f64 / 1000.0
}

/// Returns the resident memory of this process in bytes.
pub(crate) fn resident() -> Result<f64, BenchError> {
    let text = std::fs::read_to_string("/proc/self/status").context("read the memory of this process")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes
        .map(|number| number * 1024.0)
        .ok_or_else(|| BenchError::new("/proc/self/status has no resident memory"))
}
