//! Time on the boot clock: it goes on while the machine sleeps, and no one sets it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment on this host's boot clock (`CLOCK_BOOTTIME`). Moments of different hosts, or of one host before and after a
/// restart, cannot be compared.
///
/// A lease runs out while its holder's machine sleeps, so leases are counted on this clock and on no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(Duration);

impl BootTime {
    /// Now. Only clocks ask this; what tests run asks its clock.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        // Neither is ever negative, and nanoseconds are less than 10^9: the kernel's own clock.
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
        Self(Duration::new(seconds, nanoseconds))
    }

    /// So long after the machine was started.
    pub fn after_boot(since: Duration) -> Self {
        Self(since)
    }

    /// How long after the machine was started.
    pub fn since_boot(self) -> Duration {
        self.0
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// So much earlier; never before the machine was started.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }

    /// How long `earlier` has passed; zero if it is yet to come.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_forward_and_never_below_zero() {
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
