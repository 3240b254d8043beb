//! The presence lease as its holder may count on it.

use std::time::Duration;

use nephoscope_coordination::BootTime;

/// The least margin between what a holder counts on and what etcd granted.
pub const LEAST_MARGIN: Duration = Duration::from_millis(200);

/// The presence lease, counted from the *sending* of the last request that etcd acknowledged: etcd cannot have begun to
/// count earlier. On the boot clock, which goes on while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    sent: BootTime,
    ttl: Duration,
}

/// How a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It cannot have run out.
    Held,
    /// It may have run out; etcd has to be asked.
    Doubtful,
}

impl Lease {
    /// A lease of `ttl` that was asked for at `sent`.
    pub fn new(sent: BootTime, ttl: Duration) -> Self {
        Self { sent, ttl }
    }

    /// A keepalive that was sent at `sent` was acknowledged.
    pub fn kept_alive(&mut self, sent: BootTime) {
        self.sent = self.sent.max(sent);
    }

    /// Until when it is held: a margin of a tenth, at least [`LEAST_MARGIN`], before it may run out. The margin is for clocks
    /// that do not run alike, and for the way from the fence to the notifier.
    pub fn deadline(&self) -> BootTime {
        let margin = (self.ttl / 10).max(LEAST_MARGIN);
        self.sent.plus(self.ttl.saturating_sub(margin))
    }

    /// How it stands.
    pub fn standing(&self, now: BootTime) -> Standing {
        if now < self.deadline() {
            Standing::Held
        } else {
            Standing::Doubtful
        }
    }
}

/// How long records (plans, marks, give-ups) outlive the last sign of life of their writer: long enough to be read by all
/// successors in a cycle of the longest interval.
pub fn record_ttl(longest_interval: Duration, succession_wait: Duration) -> Duration {
    let succession = longest_interval.saturating_add(succession_wait.saturating_mul(5));
    longest_interval
        .saturating_mul(3)
        .max(succession)
        .max(Duration::from_secs(60))
}
