//! The clocks of the backend.

use std::time::Duration;

use nephoscope_coordination::BootTime;
use nephoscope_model::Timestamp;
use tokio::time::{Instant, sleep};

use crate::protocol::Now;

/// A sleep is checked this often: the boot clock goes on while the machine sleeps, and timers do not.
const CHECK: Duration = Duration::from_secs(1);

/// The wall clock, which tests step.
pub trait WallClock: Send + Sync + 'static {
    /// The time of day in UTC, as the system believes it.
    fn wall(&self) -> Timestamp;
}

/// The time on both clocks.
pub(super) fn now(wall: &dyn WallClock) -> Now {
    Now {
        boot: BootTime::now(),
        wall: wall.wall(),
    }
}

/// Sleeps until a moment of the boot clock; at once if it has passed.
pub(super) async fn sleep_until(moment: BootTime) {
    loop {
        let left = moment.since(BootTime::now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(CHECK)).await;
    }
}

/// Where a moment of the monotonic clock lies on the boot clock, if the machine does not sleep in between.
pub(super) fn on_boot_clock(moment: Instant) -> BootTime {
    let (now, boot) = (Instant::now(), BootTime::now());
    boot.plus(moment.saturating_duration_since(now))
        .minus(now.saturating_duration_since(moment))
}

/// Where a moment of the boot clock lies on the monotonic one.
pub(super) fn on_monotonic_clock(moment: BootTime) -> Instant {
    let (boot, now) = (BootTime::now(), Instant::now());
    let ahead = now + moment.since(boot);
    ahead.checked_sub(boot.since(moment)).unwrap_or(now)
}
