//! Limits of the requests to one endpoint: concurrency and rate.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// The budget of one endpoint.
#[derive(Debug)]
pub(crate) struct Budget {
    permits: Semaphore,
    /// Requests per second of all agents together; 0: no limit.
    rate: u32,
    pace: Mutex<Pace>,
}

/// When requests may be sent. After a pause, the requests of one second may be sent at once.
#[derive(Debug)]
struct Pace {
    /// When the next request would be due if all were evenly spaced.
    next: Instant,
    /// The service requested no requests before this time.
    held_until: Instant,
}

/// The longest burst: as many requests as fall due in this time.
const BURST: Duration = Duration::from_secs(1);

impl Budget {
    pub(crate) fn new(concurrency: usize, rate: u32) -> Self {
        let now = Instant::now();
        Self {
            permits: Semaphore::new(concurrency.max(1)),
            rate,
            pace: Mutex::new(Pace {
                next: now,
                held_until: now,
            }),
        }
    }

    /// Waits for a concurrency permit and for the request's turn. `members` agents share the work.
    pub(crate) async fn admit(&self, members: u32) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok()?;
        loop {
            let until = self.due(members);
            if until <= Instant::now() {
                return Some(permit);
            }
            tokio::time::sleep_until(until).await;
            // Meanwhile the service may have requested a longer pause.
            if self.pace.lock().held_until <= Instant::now() {
                return Some(permit);
            }
        }
    }

    /// Sends no request for this time: the service requested it.
    pub(crate) fn hold(&self, pause: Duration) {
        let mut pace = self.pace.lock();
        pace.held_until = pace.held_until.max(Instant::now() + pause);
    }

    /// Reserves the next turn and returns its time.
    fn due(&self, members: u32) -> Instant {
        let now = Instant::now();
        let mut pace = self.pace.lock();
        if self.rate == 0 {
            return pace.held_until;
        }
        let share = (f64::from(self.rate) / f64::from(members.max(1))).max(1.0);
        let spacing = Duration::from_secs_f64(1.0 / share);
        let turn = pace.next.max(now.checked_sub(BURST).unwrap_or(now));
        pace.next = turn + spacing;
        // The first request of a burst is due one burst before its turn, so that the burst is not longer than `BURST`.
        let due = turn.checked_sub(BURST).unwrap_or(turn);
        due.max(pace.held_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds_for(budget: &Budget, requests: u32, members: u32) -> u64 {
        let began = Instant::now();
        for _ in 0..requests {
            drop(budget.admit(members).await);
        }
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn members_share_the_rate_and_each_has_at_least_one_per_second() {
        for (members, seconds) in [(1, 9), (10, 99), (1_000, 999)] {
            let budget = Budget::new(4, 100);
            let took = seconds_for(&budget, 1_000, members).await;
            assert!(took.abs_diff(seconds) <= 1, "{members} members: {took} s");
        }
        assert_eq!(seconds_for(&Budget::new(4, 0), 10_000, 1).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn concurrency_is_limited() {
        let budget = Budget::new(2, 0);
        let (first, _second) = (budget.admit(1).await, budget.admit(1).await);
        let third = budget.admit(1);
        tokio::pin!(third);
        assert!(futures::poll!(&mut third).is_pending());
        drop(first);
        assert!(futures::poll!(&mut third).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_service_requests_holds_all_requests() {
        let budget = Budget::new(2, 0);
        budget.hold(Duration::from_secs(7));
        budget.hold(Duration::from_secs(3));
        assert_eq!(seconds_for(&budget, 3, 1).await, 7);
    }
}
