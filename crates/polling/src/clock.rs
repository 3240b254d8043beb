//! The clocks: wall time for identities, monotonic time for deadlines, boot time for leases.
//!
//! All other code gets the time from here, so that tests can step the wall clock and stop the monotonic one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nephoscope_coordination::BootTime;
use nephoscope_model::Timestamp;
use tokio::time::Instant;

/// A wall clock beside tokio's monotonic one.
pub trait Clock: Send + Sync + 'static {
    /// The time of day in UTC, as the system believes it.
    fn wall(&self) -> Timestamp;

    /// The monotonic clock; it does not count while the machine sleeps.
    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    /// The boot clock: as the monotonic one, but it counts while the machine sleeps.
    fn boot(&self) -> BootTime;

    /// The boot clock at a moment of the past. If the machine slept since, the moment counts as later than it was.
    fn boot_at(&self, moment: Instant) -> BootTime {
        // In this order: should the machine sleep in between, the moment counts as later, never as earlier.
        let passed = self.monotonic().saturating_duration_since(moment);
        self.boot().minus(passed)
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        #[allow(clippy::disallowed_methods, reason = "this is the clock module")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = match since {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Timestamp::from_micros(micros)
    }

    fn boot(&self) -> BootTime {
        BootTime::now()
    }
}

/// A wall clock for tests: it runs with tokio's (paused) time, and can be stepped.
#[derive(Clone)]
pub struct SimulatedClock {
    started: Instant,
    /// Wall time in microseconds at `started`, steps included.
    base: Arc<AtomicI64>,
}

impl SimulatedClock {
    /// A clock that shows `wall` now.
    pub fn new(wall: Timestamp) -> Self {
        Self {
            started: Instant::now(),
            base: Arc::new(AtomicI64::new(wall.as_micros())),
        }
    }

    /// Puts the wall clock forward.
    pub fn step_forward(&self, by: Duration) {
        self.base.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Puts the wall clock back.
    pub fn step_back(&self, by: Duration) {
        self.base.fetch_sub(micros(by), Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn wall(&self) -> Timestamp {
        let base = self.base.load(Ordering::SeqCst);
        Timestamp::from_micros(base + micros(self.started.elapsed()))
    }

    fn boot(&self) -> BootTime {
        BootTime::after_boot(self.started.elapsed())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
