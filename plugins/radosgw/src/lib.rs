//! Object storage of Ceph: buckets and requests of projects, through the admin API of the object gateway.
//!
//! Names, units, ids and metadata are those of ceilometer's meters `radosgw.*`, with these corrections:
//!
//! - The `$` in the name of a tenant's user is signed as it is sent, so that the gateway accepts the signature.
//! - A bucket with several categories of usage has one sample with their sum, and an empty bucket has a sample of 0.
//!   (Ceilometer publishes a sample per category, with the same resource id, and none for an empty bucket.)
//! - A project that the gateway does not know, or whose answer is invalid, affects no other project. (It ends
//!   ceilometer's meter, and ceilometer sends the requests of all projects again for the next meter.)
//! - Certificates are verified by default.
//! - `radosgw.usage` is also accepted as `radosgw.api.request`, its published name, in `meters:`.

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

/// Access to the admin API of Ceph's object gateway. The options of the service `radosgw` under `openstack: {services: ...}`
/// define its endpoint and TLS: `service_type` (default: `object-store`), `catalog_name`, `endpoint`, `cafile`,
/// `insecure`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// The access key of a user with the capabilities `buckets=read` and `usage=read`. Without it the gateway is not
    /// polled.
    access_key: Option<Secret>,
    /// The secret key of the user.
    secret_key: Option<Secret>,
    /// Whether the gateway has a tenant per project (`rgw_keystone_implicit_tenants`), in which the user of project `P` is
    /// `P$P`.
    implicit_tenants: bool,
}

register!(Registration::Family(
    Family::new(FAMILY, "Ceph object storage").options(OptionsSpec::of::<Options>())
));
