//! Counters of the calls that plugins make to services.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// The outcome of a call to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The service answered with this HTTP status.
    Status(u16),
    /// No answer arrived before the timeout.
    TimedOut,
    /// The service could not be reached, or the connection broke before an answer arrived.
    Unreachable,
}

impl fmt::Display for CallOutcome {
    /// The label value in metrics: the status, `timed_out` or `unreachable`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(out),
            Self::TimedOut => out.write_str("timed_out"),
            Self::Unreachable => out.write_str("unreachable"),
        }
    }
}

/// The state of the circuit breaker of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Circuit {
    /// Calls are made.
    #[default]
    Closed,
    /// Calls fail immediately: the service has failed several times in a row.
    Open,
    /// One call probes whether the service has recovered; the others fail immediately.
    Probing,
}

/// One kind of call with its count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct CallTotals {
    /// The service, as in [`crate::Call`].
    pub service: Cow<'static, str>,
    /// The method.
    pub method: Cow<'static, str>,
    /// The path template.
    pub path: Cow<'static, str>,
    /// The outcome.
    pub outcome: CallOutcome,
    /// The number of calls.
    pub count: u64,
}

impl CallTotals {
    /// Creates the totals of one kind of call.
    pub fn new(
        service: impl Into<Cow<'static, str>>,
        method: impl Into<Cow<'static, str>>,
        path: impl Into<Cow<'static, str>>,
        outcome: CallOutcome,
        count: u64,
    ) -> Self {
        Self {
            service: service.into(),
            method: method.into(),
            path: path.into(),
            outcome,
            count,
        }
    }
}

/// Counts the calls that plugins make by service, method and path template. The number of entries is bounded by what the
/// program and its definitions declare. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CallCounts(Arc<Mutex<Counts>>);

type CallKey = (
    Cow<'static, str>,
    Cow<'static, str>,
    Cow<'static, str>,
    CallOutcome,
);

#[derive(Debug, Default)]
struct Counts {
    calls: BTreeMap<CallKey, u64>,
    circuits: BTreeMap<Cow<'static, str>, Circuit>,
}

impl CallCounts {
    /// Counts one call.
    pub fn count(
        &self,
        service: impl Into<Cow<'static, str>>,
        method: impl Into<Cow<'static, str>>,
        path: impl Into<Cow<'static, str>>,
        outcome: CallOutcome,
    ) {
        let key = (service.into(), method.into(), path.into(), outcome);
        *self.0.lock().calls.entry(key).or_default() += 1;
    }

    /// Sets the state of a service's circuit breaker.
    pub fn circuit(&self, service: impl Into<Cow<'static, str>>, circuit: Circuit) {
        self.0.lock().circuits.insert(service.into(), circuit);
    }

    /// All calls so far, sorted by service, method, path and outcome.
    pub fn totals(&self) -> Vec<CallTotals> {
        let counts = self.0.lock();
        let calls = counts.calls.iter();
        calls
            .map(|((service, method, path, outcome), count)| {
                CallTotals::new(service.clone(), method.clone(), path.clone(), *outcome, *count)
            })
            .collect()
    }

    /// The services that are called through a circuit breaker, with its state.
    pub fn circuits(&self) -> Vec<(Cow<'static, str>, Circuit)> {
        let counts = self.0.lock();
        counts
            .circuits
            .iter()
            .map(|(service, circuit)| (service.clone(), *circuit))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_request_and_outcome() {
        let counts = CallCounts::default();
        for outcome in [
            CallOutcome::Status(200),
            CallOutcome::TimedOut,
            CallOutcome::Status(200),
        ] {
            counts.clone().count("glance", "GET", "/v2/images", outcome);
        }
        let totals: Vec<_> = counts
            .totals()
            .iter()
            .map(|call| format!("{} {} {} {}", call.service, call.path, call.outcome, call.count))
            .collect();
        assert_eq!(
            totals,
            ["glance /v2/images 200 2", "glance /v2/images timed_out 1"]
        );
        counts.circuit("glance", Circuit::Open);
        assert_eq!(counts.circuits(), [(Cow::Borrowed("glance"), Circuit::Open)]);
    }
}
