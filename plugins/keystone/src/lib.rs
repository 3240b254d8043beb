//! What Keystone knows: projects, and the endpoints of the catalog.
//!
//! Ceilometer's discoveries `tenant` and `endpoint`, for pollsters of other families.

mod endpoints;
mod projects;

pub use projects::Project;

use nephoscope_plugin::{Call, CallRate, Family, Registration, register};

const FAMILY: &str = "keystone";
const NAMESPACES: &[&str] = &["central"];

const fn get(path: &'static str) -> Call {
    Call {
        service: FAMILY,
        method: "GET",
        path,
        role: "reader",
        rate: CallRate::PerCycle,
    }
}

register!(Registration::Family(Family {
    name: FAMILY,
    description: "Projects and endpoints, as Keystone knows them",
    opt_in: false,
    options: None,
}));
