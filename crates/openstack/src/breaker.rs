//! A circuit breaker: a service that fails again and again is left alone for a while.
//!
//! Closed: requests go out. After so many failures in a row, open: requests fail at once. After the interval,
//! probing: one request goes out; its success closes the circuit, its failure opens it for another interval.
//! A probe that is dropped unanswered leaves the circuit open with its interval over, for the next to try.

use std::time::Duration;

use nephoscope_plugin::Circuit;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The breaker of one endpoint.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Since when the circuit is open, and what opened it.
    open: Option<Open>,
    /// Whether a probe is under way.
    probing: bool,
}

#[derive(Debug, Clone)]
struct Open {
    since: Instant,
    reason: Refusal,
}

/// Why a request was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The last failure.
    pub(crate) reason: String,
    /// Whether it was that the service cannot be reached.
    pub(crate) unreachable: bool,
}

/// The leave to send one request; what became of it must be said, or it does not count.
#[must_use]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub(crate) fn new(threshold: u32, interval: Duration) -> Self {
        Self {
            threshold: threshold.max(1),
            interval,
            state: Mutex::default(),
        }
    }

    /// Asks whether a request may go out.
    pub(crate) fn pass(&self) -> Result<Pass<'_>, Refusal> {
        let mut state = self.state.lock();
        let probe = match &state.open {
            None => false,
            Some(open) if state.probing || open.since.elapsed() < self.interval => {
                return Err(open.reason.clone());
            }
            Some(_) => true,
        };
        state.probing |= probe;
        Ok(Pass { breaker: self, probe })
    }

    /// Whether it lets requests through.
    pub(crate) fn circuit(&self) -> Circuit {
        let state = self.state.lock();
        match (&state.open, state.probing) {
            (None, _) => Circuit::Closed,
            (Some(_), false) => Circuit::Open,
            (Some(_), true) => Circuit::Probing,
        }
    }
}

impl Pass<'_> {
    /// Whether this is the one request that sees whether the service is back.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe
    }

    /// The service answered as one that is up. Gives whether the circuit was closed by it.
    pub(crate) fn succeeded(self) -> bool {
        let mut state = self.breaker.state.lock();
        state.failures = 0;
        // A request that was sent before the circuit opened says nothing about now.
        self.probe && state.open.take().is_some()
    }

    /// The service failed. Gives whether the circuit was opened by it.
    pub(crate) fn failed(self, reason: Refusal) -> bool {
        let mut state = self.breaker.state.lock();
        state.failures = state.failures.saturating_add(1);
        let was_open = state.open.is_some();
        if self.probe || (!was_open && state.failures >= self.breaker.threshold) {
            state.open = Some(Open {
                since: Instant::now(),
                reason,
            });
        }
        !was_open && state.open.is_some()
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.state.lock().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn refusal(reason: &str) -> Refusal {
        Refusal {
            reason: reason.to_owned(),
            unreachable: false,
        }
    }

    fn fail(breaker: &Breaker, reason: &str) -> bool {
        breaker.pass().unwrap().failed(refusal(reason))
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_one_probe_an_interval_tries() {
        let breaker = Breaker::new(3, INTERVAL);
        assert!(!fail(&breaker, "one") && !fail(&breaker, "two"));
        assert!(!breaker.pass().unwrap().succeeded(), "it was not open");
        assert!(!fail(&breaker, "one") && !fail(&breaker, "two"));
        assert!(fail(&breaker, "three"), "three in a row");
        assert_eq!(breaker.pass().err(), Some(refusal("three")));

        tokio::time::advance(INTERVAL).await;
        let probe = breaker.pass().unwrap();
        assert!(probe.is_probe());
        assert_eq!(breaker.circuit(), Circuit::Probing);
        assert!(breaker.pass().is_err(), "one probe at a time");
        assert!(!probe.failed(refusal("four")));
        assert_eq!(breaker.pass().err(), Some(refusal("four")));

        tokio::time::advance(INTERVAL).await;
        assert!(breaker.pass().unwrap().succeeded());
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_dropped_lets_the_next_try() {
        let breaker = Breaker::new(1, INTERVAL);
        assert!(fail(&breaker, "down"));
        tokio::time::advance(INTERVAL).await;
        drop(breaker.pass().unwrap());
        assert!(breaker.pass().unwrap().is_probe());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_under_way_when_it_opened_changes_nothing() {
        let breaker = Breaker::new(1, INTERVAL);
        let (early, late) = (breaker.pass().unwrap(), breaker.pass().unwrap());
        assert!(fail(&breaker, "down"));
        assert!(!early.succeeded());
        assert!(!late.failed(refusal("late")));
        assert_eq!(breaker.pass().err(), Some(refusal("down")));
    }
}
