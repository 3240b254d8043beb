//! Log events of the session with a cloud: one typed function each.
//!
//! WARN: the session recovered from an error. INFO: a state changed. DEBUG: details of a cycle.

use crate::error::ApiError;

pub(crate) fn no_credentials() {
    tracing::warn!(
        "no credentials for OpenStack are configured (`plugins: {{openstack: ...}}`, clouds.yaml or OS_*); \
         its services are not polled"
    );
}

pub(crate) fn token_obtained(url: &str, services: usize, seconds: u64) {
    tracing::debug!(
        url,
        services,
        lifetime_s = seconds,
        "obtained a token from Keystone"
    );
}

pub(crate) fn token_failed(error: &ApiError, usable: bool) {
    if usable {
        tracing::warn!(
            error = error.chain(),
            "Keystone issued no new token; the present token is used until it expires"
        );
    } else {
        tracing::warn!(error = error.chain(), "Keystone issued no token");
    }
}

pub(crate) fn circuit_opened(service: &str, reason: &str) {
    tracing::warn!(
        service,
        reason,
        "circuit open after repeated failures of the service; requests resume after a successful probe"
    );
}

pub(crate) fn circuit_closed(service: &str) {
    tracing::info!(service, "the service has recovered; circuit closed");
}

pub(crate) fn service_missing(error: &ApiError) {
    tracing::info!(
        error = error.chain(),
        "the catalog lacks a service; it is not polled until the catalog lists it"
    );
}

pub(crate) fn service_found(service: &str) {
    tracing::info!(service, "the catalog lists the service now");
}

pub(crate) fn version_unknown(error: &ApiError) {
    tracing::info!(
        error = error.chain(),
        "a service supports no known API version; it is not polled until it does"
    );
}

pub(crate) fn extension_absent(error: &ApiError) {
    tracing::info!(
        error = error.chain(),
        "a service lacks an API; the request is sent again after 10 minutes"
    );
}

pub(crate) fn entries_unreadable(service: &str, path: &str, count: u64, first: &str) {
    tracing::warn!(
        service,
        path,
        count,
        first,
        "some entries of a list do not have the expected form and are skipped; the others are polled"
    );
}

pub(crate) fn retried(service: &str, what: &str, reason: &str, attempt: u32) {
    tracing::debug!(service, what, reason, attempt, "retrying a request");
}
