//! Limits of keys and values.

use crate::protocol::invalid::InvalidReason;

/// The maximum size of a value in bytes. etcd rejects requests above 1.5 MiB. A plan of 10,000 members takes about 1 MB.
pub const MAX_VALUE: usize = 1_400_000;
/// The maximum length of a schedule's canonical text, in bytes.
pub const MAX_SCHEDULE: usize = 1_024;
/// The maximum length of a host name, in bytes.
pub const MAX_HOST: usize = 1_024;
/// The maximum number of members in a plan.
pub const MAX_MEMBERS: usize = 10_000;
/// The maximum number of units of a member in a schedule, and of a plan in all of its sets.
pub const MAX_UNITS: usize = 100_000;
/// The maximum number of schedules of a member.
pub const MAX_SCHEDULES: usize = 10_000;
/// The maximum number of cycles in one value of marks or give-ups.
pub const MAX_CYCLES: usize = 1_000;
/// The maximum number of steps of a unit in marks.
pub const MAX_STEPS: usize = 1_000;

/// Returns an error if the count exceeds the limit.
pub(super) fn bounded(count: usize, what: &'static str, bound: usize) -> Result<(), InvalidReason> {
    if count > bound {
        return Err(InvalidReason::LimitExceeded(what, bound));
    }
    Ok(())
}
