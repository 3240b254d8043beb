//! Log events of the plugin: one typed function each.

use nephoscope_model::Timestamp;
use uuid::Uuid;

use crate::session;
use crate::xml::XmlError;

pub(crate) fn call_hung(uri: &str) {
    tracing::warn!(
        uri,
        "a libvirt call hangs: a domain is locked, or libvirt does not respond; repeating the call without waiting for busy domains"
    );
}

pub(crate) fn definition_invalid(domain: &Uuid, error: &XmlError) {
    tracing::warn!(%domain, "cannot parse the definition of a domain; it is not measured: {error}");
}

pub(crate) fn definition_failed(domain: &Uuid, error: &session::Error) {
    tracing::warn!(%domain, "cannot read the definition of a domain: {error}");
}

pub(crate) fn definitions_failed(count: usize, error: &nephoscope_plugin::BlockingError) {
    tracing::warn!(count, "cannot read definitions of domains in this cycle: {error}");
}

pub(crate) fn flavor_without_id(flavor: &str) {
    tracing::warn!(
        flavor,
        "the flavor's id is unknown (Nova writes it since 2025.2); samples of its instances have the flavor's name instead"
    );
}

pub(crate) fn flavor_list_failed(error: &str) {
    tracing::debug!(error, "cannot list flavors; Nova is queried again after a pause");
}

pub(crate) fn image_unavailable(error: &str) {
    tracing::warn!(
        error,
        "cannot get an image from Glance; samples of its instances have only the image's id"
    );
}

pub(crate) fn server_list_failed(error: &str, listed: Timestamp) {
    tracing::warn!(
        error,
        last = %listed,
        "cannot list the servers of this host; the last list is used, and newer instances are not measured"
    );
}

pub(crate) fn no_servers_of_host(host: &str, domains: usize) {
    tracing::warn!(
        host,
        domains,
        "Nova lists no server on this host, but libvirt has domains of Nova; `agent.host` must be the host's name in Nova"
    );
}

pub(crate) fn servers_listed_again() {
    tracing::info!("Nova lists the servers of this host again");
}

pub(crate) fn metadata_unavailable(error: &str) {
    tracing::warn!(
        error,
        "cannot get the metadata of this host's instances from Nova; samples have no `user_metadata`"
    );
}
