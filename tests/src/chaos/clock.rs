//! The clocks of the machine in the oracle's unit: seconds of the boot clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the boot clock, which all processes of the machine share.
pub(super) fn now() -> f64 {
    read(ClockId::Boottime)
}

/// Returns the boot clock at the epoch, provided that the wall clock was never stepped.
pub(super) fn epoch() -> f64 {
    now() - read(ClockId::Realtime)
}

/// Returns the time until a moment of the boot clock, or zero if it has passed.
pub(super) fn until(moment: f64) -> Duration {
    Duration::from_secs_f64((moment - now()).max(0.0))
}

fn read(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
