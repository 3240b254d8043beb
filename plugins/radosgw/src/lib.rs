//! Object storage of Ceph: the buckets of projects and the requests to them, by the admin API of the object gateway.
//!
//! Names, units, ids and metadata are those of ceilometer's meters `radosgw.*`, with these corrections:
//!
//! - The `$` of a tenant's user is signed as it is sent, and the gateway takes the signature.
//! - A bucket with several categories of usage is one sample with their sum, and a bucket with nothing in it is a
//!   sample of 0. (Ceilometer publishes a sample for each category, with the same resource id, and none for an empty bucket.)
//! - A project that the gateway does not know, or whose answer cannot be read, costs itself alone. (Ceilometer ends
//!   the meter there, and asks for all projects again for the next one.)
//! - Certificates are checked unless the options say otherwise.
//! - `radosgw.usage` may be called `radosgw.api.request` in `meters:` too, as it is published.

mod buckets;
mod gateway;
mod signature;
mod usage;

use nephoscope_plugin::{CallDef, CallRate, Family, OptionsSpec, Registration, Secret, register};
use schemars::JsonSchema;
use serde::Deserialize;

const FAMILY: &str = "radosgw";
const NAMESPACES: &[&str] = &["central"];

const fn get(path: &'static str, role: &'static str) -> CallDef {
    CallDef::new(FAMILY, "GET", path)
        .role(role)
        .rate(CallRate::PerResource)
}

/// How the admin API of Ceph's object gateway is asked. Where the gateway is, and how its certificate is checked, say
/// the options of the service `radosgw` under `openstack: {services: ...}`: `service_type` (`object-store` unless said),
/// `catalog_name`, `endpoint`, `cafile`, `insecure`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// The access key of a user with the capabilities `buckets=read` and `usage=read`. Without it the gateway is not
    /// asked.
    access_key: Option<Secret>,
    /// The secret key of the user.
    secret_key: Option<Secret>,
    /// Whether the gateway has a tenant for each project (`rgw_keystone_implicit_tenants`), in which the user of project
    /// `P` is `P$P`.
    implicit_tenants: bool,
}

register!(Registration::Family(
    Family::new(FAMILY, "Object storage of Ceph").options(OptionsSpec::of::<Options>())
));
