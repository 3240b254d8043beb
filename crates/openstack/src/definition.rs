//! The declaration of an OpenStack service.

use nephoscope_plugin::CallDef;

use crate::versions::Microversion;

/// An OpenStack service, as a plugin declares it.
#[derive(Debug)]
pub struct ServiceDef {
    /// The name in options, calls and metrics: the project's name, for example `cinder`.
    pub name: &'static str,
    /// The type by the OpenStack service types authority. Catalogs may use its aliases.
    pub service_type: &'static str,
    /// Where its paths start.
    pub root: Root,
    /// The microversion of its requests.
    pub microversion: Option<MicroversionDef>,
}

/// Where the paths of a service start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// At the endpoint of the catalog. If the endpoint contains an API version (`/v3/PROJECT`), the version at the start
    /// of a path is left out; otherwise it is added.
    Endpoint,
    /// At the version in the endpoint of the catalog: the path replaces the version and everything after it.
    Version,
    /// At the origin of the endpoint; the endpoint's path is ignored.
    Origin,
}

/// The microversion of a service's requests. An older service gets the latest version that it supports.
#[derive(Debug)]
pub struct MicroversionDef {
    /// The service's name in the header `OpenStack-API-Version`, for example `volume`.
    pub header: &'static str,
    /// The version.
    pub version: Microversion,
    /// The request that lists the supported versions, for example `GET /v3/`.
    pub call: CallDef,
}
