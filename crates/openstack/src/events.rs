//! What the session with a cloud says: one typed function for each event of importance.
//!
//! WARN: something went wrong and was dealt with. INFO: a state changed. DEBUG: the detail of a cycle.

use crate::error::ApiError;

pub(crate) fn no_credentials() {
    tracing::warn!(
        "no credentials for OpenStack are configured (`plugins: {{openstack: ...}}`, clouds.yaml or OS_*): \
         nothing of it is polled"
    );
}

pub(crate) fn token_obtained(url: &str, services: usize, seconds: u64) {
    tracing::debug!(url, services, lifetime_s = seconds, "Keystone gave a token");
}

pub(crate) fn token_not_obtained(error: &ApiError, usable: bool) {
    if usable {
        tracing::warn!(
            error = error.chain(),
            "Keystone gives no token; the present one is used while it lasts"
        );
    } else {
        tracing::warn!(error = error.chain(), "Keystone gives no token");
    }
}

pub(crate) fn circuit_opened(service: &str, reason: &str) {
    tracing::warn!(
        service,
        reason,
        "the service fails again and again and is left alone for a while"
    );
}

pub(crate) fn circuit_closed(service: &str) {
    tracing::info!(service, "the service is back");
}

pub(crate) fn service_missing(error: &ApiError) {
    tracing::info!(
        error = error.chain(),
        "a service is not polled until the catalog has it"
    );
}

pub(crate) fn service_found(service: &str) {
    tracing::info!(service, "the catalog has the service now");
}

pub(crate) fn version_unknown(error: &ApiError) {
    tracing::info!(
        error = error.chain(),
        "a service is not polled until it has a version that is known"
    );
}

pub(crate) fn extension_absent(error: &ApiError) {
    tracing::info!(
        error = error.chain(),
        "an extension is not there; it is asked for again in a while"
    );
}

pub(crate) fn entries_unreadable(service: &str, path: &str, count: u64, first: &str) {
    tracing::warn!(
        service,
        path,
        count,
        first,
        "some entries of a listing do not have the expected form; the others are polled"
    );
}

pub(crate) fn retried(service: &str, what: &str, reason: &str, attempt: u32) {
    tracing::debug!(service, what, reason, attempt, "a request is sent again");
}
