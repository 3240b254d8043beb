//! A service of OpenStack, as a plugin declares it.

use nephoscope_plugin::CallDef;

use crate::versions::Microversion;

/// A service of OpenStack, as a plugin declares it.
#[derive(Debug)]
pub struct ServiceDef {
    /// Its name in options, calls and metrics: that of the project, for example `cinder`.
    pub name: &'static str,
    /// Its type by the OpenStack service types authority; aliases are known.
    pub service_type: &'static str,
    /// Where its paths begin.
    pub root: Root,
    /// The microversion that its requests ask for.
    pub microversion: Option<Wanted>,
}

/// Where the paths of a service begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// At the endpoint of the catalog. If that names a version of the API already (`/v3/PROJECT`), the
    /// version with which paths begin is left out; otherwise it is added.
    Endpoint,
    /// Where the endpoint of the catalog names the version: what stands there and after it is replaced.
    Version,
    /// At the origin of the endpoint, whatever its path.
    Origin,
}

/// The microversion that the requests of a service ask for. A service that does not know it yet is asked for
/// the best that it has.
#[derive(Debug)]
pub struct Wanted {
    /// The word before the version in `OpenStack-API-Version`, for example `volume`.
    pub header: &'static str,
    /// The version.
    pub version: Microversion,
    /// How the service says which versions it has, for example `GET /v3/`.
    pub call: CallDef,
}
