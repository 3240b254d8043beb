//! Object storage of Swift: accounts of projects, and their containers.
//!
//! Names, units, ids and metadata are those of ceilometer's meters `storage.*`. One request per account serves all
//! meters: the answer with the containers also contains the account's totals.

mod account;
mod storage;

use nephoscope_openstack::{Root, ServiceDef};
use nephoscope_plugin::{CallDef, CallRate, Family, OptionsSpec, Registration, register};
use schemars::JsonSchema;
use serde::Deserialize;

const FAMILY: &str = "swift";

static SWIFT: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "object-store",
    // The endpoint contains the account of the token's project.
    root: Root::Version,
    microversion: None,
};

const fn call(method: &'static str) -> CallDef {
    CallDef::new(FAMILY, method, "/v1/{account}")
        .role("ResellerAdmin")
        .rate(CallRate::PerResource)
}

/// Options of Swift's accounts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The prefix of the account name; the project's id follows it.
    reseller_prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reseller_prefix: "AUTH_".to_owned(),
        }
    }
}

register!(Registration::Family(
    Family::new(FAMILY, "Swift object storage").options(OptionsSpec::of::<Options>())
));
