//! A circuit breaker: stops requests to a service after repeated failures.
//!
//! Closed: requests are sent. Open, after a number of consecutive failures: requests fail at once. Probing, after the
//! interval: one request is sent; its success closes the circuit, its failure opens it for another interval.
//! A probe that is dropped without a result leaves the circuit open with its interval over; the next request probes.

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
    /// When the circuit opened, and the failure that opened it.
    open: Option<Open>,
    /// Whether a probe is in flight.
    probing: bool,
}

#[derive(Debug, Clone)]
struct Open {
    since: Instant,
    reason: LastFailure,
}

/// Why a request was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastFailure {
    /// The last failure.
    pub(crate) reason: String,
    /// Whether the service could not be reached.
    pub(crate) unreachable: bool,
}

/// The permission to send one request. The caller reports the result, or the request does not count.
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

    /// Returns a permit for one request, or the last failure if the circuit is open.
    pub(crate) fn pass(&self) -> Result<Pass<'_>, LastFailure> {
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

    /// Returns the state of the circuit.
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
    /// Whether this request probes whether the service has recovered.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe
    }

    /// Records a success. Returns whether it closed the circuit.
    pub(crate) fn succeeded(self) -> bool {
        let mut state = self.breaker.state.lock();
        state.failures = 0;
        // A request that was sent before the circuit opened does not show the present state.
        self.probe && state.open.take().is_some()
    }

    /// Records a failure. Returns whether it opened the circuit.
    pub(crate) fn failed(self, reason: LastFailure) -> bool {
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

    fn last_failure(reason: &str) -> LastFailure {
        LastFailure {
            reason: reason.to_owned(),
            unreachable: false,
        }
    }

    fn fail(breaker: &Breaker, reason: &str) -> bool {
        breaker.pass().unwrap().failed(last_failure(reason))
    }

    #[tokio::test(start_paused = true)]
    async fn consecutive_failures_open_it_and_each_interval_allows_one_probe() {
        let breaker = Breaker::new(3, INTERVAL);
        assert!(!fail(&breaker, "one") && !fail(&breaker, "two"));
        assert!(!breaker.pass().unwrap().succeeded(), "it was not open");
        assert!(!fail(&breaker, "one") && !fail(&breaker, "two"));
        assert!(fail(&breaker, "three"), "three in a row");
        assert_eq!(breaker.pass().err(), Some(last_failure("three")));

        tokio::time::advance(INTERVAL).await;
        let probe = breaker.pass().unwrap();
        assert!(probe.is_probe());
        assert_eq!(breaker.circuit(), Circuit::Probing);
        assert!(breaker.pass().is_err(), "one probe at a time");
        assert!(!probe.failed(last_failure("four")));
        assert_eq!(breaker.pass().err(), Some(last_failure("four")));

        tokio::time::advance(INTERVAL).await;
        assert!(breaker.pass().unwrap().succeeded());
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_probe_allows_the_next_one() {
        let breaker = Breaker::new(1, INTERVAL);
        assert!(fail(&breaker, "down"));
        tokio::time::advance(INTERVAL).await;
        drop(breaker.pass().unwrap());
        assert!(breaker.pass().unwrap().is_probe());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_flight_when_it_opened_change_nothing() {
        let breaker = Breaker::new(1, INTERVAL);
        let (early, late) = (breaker.pass().unwrap(), breaker.pass().unwrap());
        assert!(fail(&breaker, "down"));
        assert!(!early.succeeded());
        assert!(!late.failed(last_failure("late")));
        assert_eq!(breaker.pass().err(), Some(last_failure("down")));
    }
}
