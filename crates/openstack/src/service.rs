//! A service as plugins see it: what to call, and how.

use std::num::NonZeroUsize;
use std::sync::Arc;

use nephoscope_plugin::CallDef;
use reqwest::Url;

use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::link;
use crate::request::Request;
use crate::session::Session;
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

/// A service of a cloud. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) session: Arc<Session>,
    pub(crate) def: &'static ServiceDef,
    pub(crate) endpoint: Arc<Endpoint>,
    /// How many agents share the work that it is asked for.
    pub(crate) members: u32,
}

impl Service {
    pub(crate) fn new(session: Arc<Session>, def: &'static ServiceDef, endpoint: Arc<Endpoint>) -> Self {
        Self {
            session,
            def,
            endpoint,
            members: 1,
        }
    }

    /// The service for work that so many agents share: each has its part of the rate. The owner of a whole
    /// listing has all of it. [`crate::each`] and the discoveries of tables do this by themselves.
    #[must_use]
    pub fn shared_by(&self, members: NonZeroUsize) -> Self {
        Self {
            members: u32::try_from(members.get()).unwrap_or(u32::MAX),
            ..self.clone()
        }
    }

    /// A request for what `call` declares; its template is what it is counted under.
    pub fn request(&self, call: &'static CallDef) -> Request {
        Request::new(self.clone(), call)
    }

    /// The session that it belongs to.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// How many entries to ask for in a page.
    pub fn page_size(&self) -> u32 {
        self.endpoint.page_size
    }

    /// How many requests it may have under way.
    pub fn concurrency(&self) -> usize {
        self.endpoint.concurrency
    }

    /// The URL of a path at this endpoint.
    pub(crate) fn url(&self, endpoint: &Url, path: &str) -> Result<Url, ApiError> {
        let mut url = endpoint.clone();
        let (version, rest) = split_version(path);
        let base = endpoint.path().trim_end_matches('/');
        let path = match (self.def.root, version, version_of(base)) {
            (Root::Origin, ..) => path.to_owned(),
            (Root::Version, ..) | (Root::Endpoint, Some(_), None) => {
                format!("{}{path}", link::prefix(endpoint))
            }
            (Root::Endpoint, Some(wanted), Some(found)) => {
                if major(wanted) != major(found) {
                    return Err(ApiError::Version {
                        service: self.def.name,
                        wanted: wanted.to_owned(),
                        found: found.to_owned(),
                    });
                }
                format!("{base}{rest}")
            }
            (Root::Endpoint, None, _) => format!("{base}{path}"),
        };
        url.set_path(&path);
        Ok(url)
    }
}

/// The version with which a path begins, and the rest.
fn split_version(path: &str) -> (Option<&str>, &str) {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let (first, rest) = inner.split_at(inner.find('/').unwrap_or(inner.len()));
    if link::is_version(first) {
        (Some(first), rest)
    } else {
        (None, path)
    }
}

/// The version that a path names.
fn version_of(path: &str) -> Option<&str> {
    path.split('/').find(|segment| link::is_version(segment))
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}
