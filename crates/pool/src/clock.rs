//! The clocks of the backend.

use std::time::Duration;

use nephoscope_coordination::BootTime;
use nephoscope_model::Timestamp;
use tokio::time::{Instant, sleep};

use crate::protocol::Now;

/// The interval at which a sleep is checked: the boot clock runs while the machine sleeps, and timers do not.
const CHECK: Duration = Duration::from_secs(1);

/// The wall clock, which tests can set.
pub trait WallClock: Send + Sync + 'static {
    /// Returns the time of day in UTC according to the system.
    fn wall(&self) -> Timestamp;
}

/// Returns the time on both clocks.
pub(super) fn now(wall: &dyn WallClock) -> Now {
    Now {
        boot: BootTime::now(),
        wall: wall.wall(),
    }
}

/// Sleeps until a moment of the boot clock; returns at once if it has passed.
pub(super) async fn sleep_until(moment: BootTime) {
    loop {
        let left = moment.since(BootTime::now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(CHECK)).await;
    }
}

/// Converts a moment of the monotonic clock to the boot clock, assuming that the machine does not sleep in between.
pub(super) fn on_boot_clock(moment: Instant) -> BootTime {
    let (now, boot) = (Instant::now(), BootTime::now());
    boot.plus(moment.saturating_duration_since(now))
        .minus(now.saturating_duration_since(moment))
}

/// Converts a moment of the boot clock to the monotonic clock.
pub(super) fn on_monotonic_clock(moment: BootTime) -> Instant {
    let (boot, now) = (BootTime::now(), Instant::now());
    let ahead = now + moment.since(boot);
    ahead.checked_sub(boot.since(moment)).unwrap_or(now)
}
