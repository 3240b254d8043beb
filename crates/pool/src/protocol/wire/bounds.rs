//! How much a key or value may hold.

use crate::protocol::bad::BadReason;

/// The largest value that is read or written, in bytes. etcd itself refuses requests above 1.5 MiB. A plan of 10,000
/// members takes about 1 MB.
pub const MAX_VALUE: usize = 1_400_000;
/// The longest canonical text of a schedule, in bytes.
pub const MAX_SCHEDULE: usize = 1_024;
/// The longest name of a host, in bytes.
pub const MAX_HOST: usize = 1_024;
/// The most members of a plan.
pub const MAX_MEMBERS: usize = 10_000;
/// The most units that a member carries of a schedule, or that a plan lists in all of its sets.
pub const MAX_UNITS: usize = 100_000;
/// The most schedules of a member.
pub const MAX_SCHEDULES: usize = 10_000;
/// The most cycles in one value of marks or give-ups.
pub const MAX_CYCLES: usize = 1_000;
/// The most steps of a unit in marks.
pub const MAX_STEPS: usize = 1_000;

/// An error if there is too much of something.
pub(super) fn bounded(count: usize, what: &'static str, bound: usize) -> Result<(), BadReason> {
    if count > bound {
        return Err(BadReason::TooMuch(what, bound));
    }
    Ok(())
}
