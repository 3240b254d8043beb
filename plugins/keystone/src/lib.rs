//! Keystone: projects, endpoints of the catalog, and names of projects and users.
//!
//! Ceilometer's discoveries `tenant` and `endpoint`, for pollsters of other families, and its `identity_name_discovery`: the
//! names of projects and users in samples. Corrections:
//!
//! - One request lists the projects of all domains. (Ceilometer sends one per domain.)
//! - `ignore_disabled_projects` also omits the projects of disabled domains. (Ceilometer 27 includes them.)
//! - Names are found. (Ceilometer 27 publishes null.) Each is requested once in ten minutes; an id that Keystone does not
//!   know is cached too.

mod endpoints;
mod names;
mod projects;

pub use projects::Project;

use nephoscope_plugin::{CallDef, Family, Registration, register};

const FAMILY: &str = "keystone";
const NAMESPACES: &[&str] = &["central"];

const fn get(path: &'static str) -> CallDef {
    CallDef::new(FAMILY, "GET", path).role("reader")
}

register!(Registration::Family(Family::new(
    FAMILY,
    "Keystone projects and endpoints"
)));
