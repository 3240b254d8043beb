//! The clocks: wall time for identities, monotonic time for deadlines, boot time for leases.
//!
//! All other code reads the time here, so that tests can step the wall clock and pause the monotonic clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nephoscope_coordination::BootTime;
use nephoscope_model::Timestamp;
use tokio::time::Instant;

use crate::alarm::Alarm;

/// The clocks of the engine; the monotonic clock is tokio's.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock in UTC.
    fn wall(&self) -> Timestamp;

    /// The monotonic clock. It stops while the machine is suspended.
    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    /// Creates a timer for instants of the monotonic clock. Must be called on a runtime.
    fn alarm(&self) -> Alarm {
        Alarm::coarse()
    }

    /// The boot clock: like the monotonic clock, but it runs while the machine is suspended.
    fn boot(&self) -> BootTime;

    /// The boot clock at a past moment. If the machine was suspended since, the result is later than the true value.
    fn boot_at(&self, moment: Instant) -> BootTime {
        // Read in this order: if the machine is suspended in between, the result is later, never earlier.
        let passed = self.monotonic().saturating_duration_since(moment);
        self.boot().minus(passed)
    }
}

/// The clocks of the machine.
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

    fn alarm(&self) -> Alarm {
        Alarm::exact()
    }

    fn boot(&self) -> BootTime {
        BootTime::now()
    }
}

/// A wall clock for tests. It follows tokio's (paused) time and can be stepped.
#[derive(Clone)]
pub struct SimulatedClock {
    started: Instant,
    /// Wall time in microseconds at `started`, steps included.
    base: Arc<AtomicI64>,
}

impl SimulatedClock {
    /// Creates a clock that shows `wall` now.
    pub fn new(wall: Timestamp) -> Self {
        Self {
            started: Instant::now(),
            base: Arc::new(AtomicI64::new(wall.as_micros())),
        }
    }

    /// Steps the wall clock forward.
    pub fn step_forward(&self, by: Duration) {
        self.base.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Steps the wall clock back.
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
