//! Block storage of Cinder: volumes, snapshots, backups, storage pools, services.
//!
//! Names, units, ids and metadata are those of ceilometer's discoveries `volumes`, `volume_snapshots`, `volume_backups`,
//! `volume_pools`, `volume_services` and of its meters `volume.*`.

mod pools;
mod services;
mod volumes;

use nephoscope_openstack::{Microversion, MicroversionDef, Root, ServiceDef};
use nephoscope_plugin::{CallDef, CallRate, Family, Registration, register};

const FAMILY: &str = "cinder";
const NAMESPACES: &[&str] = &["central"];

/// The request that lists the supported versions.
const VERSIONS: CallDef = CallDef::new(FAMILY, "GET", "/v3/")
    .role("none")
    .rate(CallRate::Hourly);

/// 3.41 adds the user to snapshots, 3.56 user and project to backups, 3.63 the id of the type to volumes; ceilometer
/// requests 3.64. An older Cinder gets the latest version that it supports.
static CINDER: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "block-storage",
    root: Root::Endpoint,
    microversion: Some(MicroversionDef {
        header: "volume",
        version: Microversion(3, 64),
        call: VERSIONS,
    }),
};

const fn get(path: &'static str, rate: CallRate) -> CallDef {
    CallDef::new(FAMILY, "GET", path).role("admin").rate(rate)
}

register!(Registration::Family(Family::new(FAMILY, "Cinder block storage")));
