//! What the plugin says: one typed function for each event of importance.

use nephoscope_model::Timestamp;
use uuid::Uuid;

use crate::session;
use crate::xml::XmlError;

pub(crate) fn call_left_behind(uri: &str) {
    tracing::warn!(
        uri,
        "a call of libvirt's did not end in its third of the time: a domain is locked, or libvirt hangs; asked again without waiting"
    );
}

pub(crate) fn definition_odd(domain: &Uuid, error: &XmlError) {
    tracing::warn!(%domain, "the definition of a domain cannot be read, so it is not measured: {error}");
}

pub(crate) fn definition_not_read(domain: &Uuid, error: &session::Error) {
    tracing::warn!(%domain, "libvirt does not give the definition of a domain: {error}");
}

pub(crate) fn definitions_not_read(count: usize, error: &nephoscope_plugin::BlockingError) {
    tracing::warn!(
        count,
        "definitions of domains could not be read in this cycle: {error}"
    );
}

pub(crate) fn flavor_without_id(flavor: &str) {
    tracing::warn!(
        flavor,
        "Nova wrote no id of the flavor (it does since 2025.2), and has not told one: the name stands in its place, for all such instances"
    );
}

pub(crate) fn flavors_not_listed(error: &str) {
    tracing::debug!(
        error,
        "Nova does not list its flavors; it is asked again in a while"
    );
}

pub(crate) fn image_not_told(error: &str) {
    tracing::warn!(
        error,
        "an image is not known: samples of its instances have its id alone, until Glance tells more"
    );
}

pub(crate) fn servers_not_listed(error: &str, asked: Timestamp) {
    tracing::warn!(
        error,
        last = %asked,
        "Nova does not list the servers of this host: its last list stands, and newer instances are not measured"
    );
}

pub(crate) fn no_server_here(host: &str, domains: usize) {
    tracing::warn!(
        host,
        domains,
        "Nova has no server on this host, and libvirt has domains that Nova made: is `agent.host` the name by which Nova knows it?"
    );
}

pub(crate) fn servers_listed_again() {
    tracing::info!("Nova lists the servers of this host again");
}

pub(crate) fn metadata_not_told(error: &str) {
    tracing::warn!(
        error,
        "Nova does not tell what is noted on the instances of this host: samples have no `user_metadata` until it does"
    );
}
