//! What the plugin says: one typed function for each event of importance.

use crate::session;
use crate::uuid::Uuid;
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
        "Nova wrote no id of the flavor (it does since 2025.2), and cannot be asked: the name stands in its place, for all such instances"
    );
}
