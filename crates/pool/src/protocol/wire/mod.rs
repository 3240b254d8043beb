//! The encoding of keys and values. Data in etcd is untrusted: it is bounded and validated, and rejected with key and
//! reason.

mod bounds;
mod give_ups;
mod key;
mod marks;
mod member;
mod plan;
#[cfg(test)]
mod tests;
mod units;
mod value;

pub use bounds::{
    MAX_CYCLES, MAX_HOST, MAX_MEMBERS, MAX_SCHEDULE, MAX_SCHEDULES, MAX_STEPS, MAX_UNITS, MAX_VALUE,
};
pub use key::Prefix;
pub use value::{decode, encode};
