//! Moments on the boot clock, which runs while the machine sleeps and cannot be set.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment on this host's boot clock (`CLOCK_BOOTTIME`). Moments of different hosts, or from before and after a reboot,
/// are not comparable.
///
/// A lease expires while its holder's machine sleeps, so leases are measured on this clock only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(Duration);

impl BootTime {
    /// Returns the current time. Only clock implementations call this; code under test uses its injected clock.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        // Neither value of the kernel's clock is negative, and nanoseconds are below 10^9.
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
        Self(Duration::new(seconds, nanoseconds))
    }

    /// Creates the moment `since` after boot.
    pub fn after_boot(since: Duration) -> Self {
        Self(since)
    }

    /// Returns the time since boot.
    pub fn since_boot(self) -> Duration {
        self.0
    }

    /// Returns the moment `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// Returns the moment `by` earlier, at the earliest boot.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }

    /// Returns the time since `earlier`; zero if `earlier` is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_is_monotonic_and_saturates_at_zero() {
        let before = BootTime::now();
        assert!(before <= BootTime::now());
        let second = Duration::from_secs(1);
        assert_eq!(before.plus(second).since(before), second);
        assert_eq!(before.since(before.plus(second)), Duration::ZERO);
        assert_eq!(
            BootTime::after_boot(Duration::ZERO).minus(second).since_boot(),
            Duration::ZERO
        );
    }
}
