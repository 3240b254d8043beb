//! The clocks of the machine, as the oracle counts: seconds on the boot clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The boot clock, which every process of the machine reads alike.
pub(super) fn now() -> f64 {
    read(ClockId::Boottime)
}

/// What the boot clock showed at the epoch, if the wall clock was never stepped.
pub(super) fn epoch() -> f64 {
    now() - read(ClockId::Realtime)
}

/// The time until a moment of the boot clock; nothing if it has passed.
pub(super) fn until(moment: f64) -> Duration {
    Duration::from_secs_f64((moment - now()).max(0.0))
}

fn read(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
