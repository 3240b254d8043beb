//! Metrics of plugins: hung calls, and calls to services.

use nephoscope_plugin::Circuit;

use crate::metrics::family::{Family, Kind, Stability};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "nephoscope_plugins_unavailable",
        unit: None,
        kind: Kind::Gauge,
        labels: &[],
        stability: Stability::Stable,
        help: "Plugins that are not loaded because this machine does not support them",
        read: |snapshot, series| series.size(&[], snapshot.plugins_unavailable),
    },
    Family {
        name: "nephoscope_hung_calls",
        unit: None,
        kind: Kind::Gauge,
        labels: &["family"],
        stability: Stability::Experimental,
        help: "Blocking calls of a plugin family that are running after their deadline; at 16 the family starts no more calls",
        read: |snapshot, series| {
            snapshot
                .hung_calls
                .iter()
                .try_for_each(|(family, calls)| series.size(&[family], *calls))
        },
    },
    Family {
        name: "nephoscope_service_calls",
        unit: None,
        kind: Kind::Counter,
        labels: &["service", "method", "path", "outcome"],
        stability: Stability::Stable,
        help: "Calls of plugins to services, by path template; the outcome is the status, `timed_out` or `unreachable`",
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
        stability: Stability::Experimental,
        help: "1 while the circuit of a service is open after repeated failures",
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
