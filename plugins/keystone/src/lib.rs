//! What Keystone knows: projects, and the endpoints of the catalog.
//!
//! Ceilometer's discoveries `tenant` and `endpoint`, for pollsters of other families, and its `identity_name_discovery`: the
//! names of projects and users, for samples. Corrections:
//!
//! - Projects of all domains are one listing. (Ceilometer asks domain by domain.)
//! - `ignore_disabled_projects` leaves out the projects of disabled domains too. (Ceilometer 27 walks them.)
//! - Names are found at all (ceilometer 27 publishes null), and each is asked for once in ten minutes; an id that Keystone
//!   does not know is remembered too.

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
    "Projects and endpoints, as Keystone knows them"
)));
