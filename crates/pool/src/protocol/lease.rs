//! The validity of the presence lease from its holder's view.

use std::time::Duration;

use nephoscope_coordination::BootTime;

/// The minimum margin between the granted TTL and the time that the holder relies on.
pub const MIN_MARGIN: Duration = Duration::from_millis(200);

/// The presence lease, measured from the *sending* of the last request that etcd acknowledged: etcd cannot have started to
/// count earlier. On the boot clock, which runs while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    sent: BootTime,
    ttl: Duration,
}

/// The state of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// It cannot have expired.
    Confirmed,
    /// It may have expired; etcd must be asked.
    Unconfirmed,
}

impl Lease {
    /// Creates a lease of `ttl` that was requested at `sent`.
    pub fn new(sent: BootTime, ttl: Duration) -> Self {
        Self { sent, ttl }
    }

    /// Records the acknowledgement of a keepalive that was sent at `sent`.
    pub fn kept_alive(&mut self, sent: BootTime) {
        self.sent = self.sent.max(sent);
    }

    /// Returns the time until which the lease is confirmed: a margin of a tenth, at least [`MIN_MARGIN`], before it may
    /// expire. The margin covers clock drift and the path from the fence to the notifier.
    pub fn deadline(&self) -> BootTime {
        let margin = (self.ttl / 10).max(MIN_MARGIN);
        self.sent.plus(self.ttl.saturating_sub(margin))
    }

    /// Returns its state.
    pub fn state(&self, now: BootTime) -> LeaseState {
        if now < self.deadline() {
            LeaseState::Confirmed
        } else {
            LeaseState::Unconfirmed
        }
    }
}

/// Returns the TTL of records (plans, marks, give-ups) after the last keepalive of their writer: long enough for all
/// takeovers in a cycle of the longest interval.
pub fn record_ttl(longest_interval: Duration, takeover_wait: Duration) -> Duration {
    let takeover = longest_interval.saturating_add(takeover_wait.saturating_mul(5));
    longest_interval
        .saturating_mul(3)
        .max(takeover)
        .max(Duration::from_secs(60))
}
