//! What plugins leave behind, and what they call.

use nephoscope_plugin::Circuit;

use crate::metrics::family::{Family, Kind};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_plugins_unavailable",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        help: "Plugins that were not loaded because this machine is not fit for them",
        read: |snapshot, series| series.size(&[], snapshot.plugins_unavailable),
    },
    Family {
        name: "nephoscope_blocking_calls_left_behind",
        unit: None,
        kind: Kind::Gauge,
        labels: &["family"],
        help: "Blocking calls of a plugin family that did not end by their deadline and still hang; at 16 it may start no further ones",
        read: |snapshot, series| {
            snapshot
                .calls_left_behind
                .iter()
                .try_for_each(|(family, calls)| series.size(&[family], *calls))
        },
    },
    Family {
        name: "nephoscope_service_calls",
        unit: None,
        kind: Kind::Counter,
        labels: &["service", "method", "path", "outcome"],
        help: "Calls that plugins made to services, by path template; the outcome is the status, `timed_out` or `unreachable`",
        read: |snapshot, series| {
            snapshot.service_calls.iter().try_for_each(|call| {
                let outcome = call.outcome.to_string();
                series.count(&[&call.service, &call.method, &call.path, &outcome], call.count)
            })
        },
    },
    Family {
        name: "nephoscope_service_circuit_open",
        unit: None,
        kind: Kind::Gauge,
        labels: &["service"],
        help: "1 while a service is left alone because it failed again and again",
        read: |snapshot, series| {
            snapshot
                .service_circuits
                .iter()
                .try_for_each(|(service, circuit)| {
                    series.count(&[service], u64::from(*circuit != Circuit::Closed))
                })
        },
    },
];
