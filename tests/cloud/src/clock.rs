//! The time of the cloud, which tokens and signatures carry.

/// What the wall clock says.
#[allow(
    clippy::disallowed_methods,
    reason = "the cloud is a service of its own, and services show the wall clock in their answers"
)]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A time as Keystone writes it.
pub(crate) fn text(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
