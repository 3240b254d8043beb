//! Numbers of the operating statuses of load balancers and their parts.

use nephoscope_openstack::{Measured, Record};
use nephoscope_plugin::model::Volume;

/// The numbers of the statuses of load balancers and their parts.
const STATUS: &[(&str, i64)] = &[
    ("offline", 0),
    ("online", 1),
    ("no_monitor", 3),
    ("error", 4),
    ("degraded", 5),
    ("disabled", 6),
];

/// Returns the number of a status; an error for one that is not in the table.
pub(crate) fn number(status: Option<&str>) -> Measured {
    let status = status.ok_or("not in the status tree of any load balancer")?;
    let known = STATUS.iter().find(|(name, _)| status.eq_ignore_ascii_case(name));
    match known {
        Some((_, number)) => Ok(Some(Volume::from(*number))),
        None => Err(format!("unknown status `{status}`")),
    }
}

/// Measures a record by its `operating_status`.
pub(crate) fn operating(record: &Record) -> Measured {
    number(record.text("operating_status"))
}
