//! The numbers for the operating statuses of load balancers and their parts.

use nephoscope_openstack::{Measured, Record};
use nephoscope_plugin::model::Volume;

/// The numbers for statuses of load balancers and their parts.
const STATUS: &[(&str, i64)] = &[
    ("offline", 0),
    ("online", 1),
    ("no_monitor", 3),
    ("error", 4),
    ("degraded", 5),
    ("disabled", 6),
];

/// The number for a status; none, and the reason, for one that is not in the table.
pub(crate) fn number(status: Option<&str>) -> Measured {
    let status = status.ok_or("no load balancer's status tree has it")?;
    let known = STATUS.iter().find(|(name, _)| status.eq_ignore_ascii_case(name));
    match known {
        Some((_, number)) => Ok(Some(Volume::from(*number))),
        None => Err(format!(
            "the service gives the status `{status}`, which is not known"
        )),
    }
}

/// The measure of what has its status in `operating_status`.
pub(crate) fn operating(record: &Record) -> Measured {
    number(record.text("operating_status"))
}
