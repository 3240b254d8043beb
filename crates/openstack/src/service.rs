//! A client of one service of a cloud.

use std::num::NonZeroUsize;
use std::sync::Arc;

use reqwest::Url;

use crate::definition::{Root, ServiceDef};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::link;
use crate::session::Session;

/// A client of one service of a cloud. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) session: Arc<Session>,
    pub(crate) def: &'static ServiceDef,
    pub(crate) endpoint: Arc<Endpoint>,
    /// How many agents share the work that its requests are for.
    pub(crate) members: u32,
}

impl Session {
    /// Returns a client of a service of this cloud. Whether the service exists is known at the first request.
    pub fn service(self: &Arc<Self>, def: &'static ServiceDef) -> Service {
        Service {
            session: self.clone(),
            def,
            endpoint: self.endpoint(def),
            members: 1,
        }
    }
}

impl Service {
    /// Returns a client for work that this number of agents share: each has its share of the rate. The agent that runs a
    /// discovery has the whole rate. [`crate::each`] and the discoveries of tables call this themselves.
    #[must_use]
    pub fn shared_by(&self, members: NonZeroUsize) -> Self {
        Self {
            members: u32::try_from(members.get()).unwrap_or(u32::MAX),
            ..self.clone()
        }
    }

    /// Returns the session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Returns the number of entries to request per page.
    pub fn page_size(&self) -> u32 {
        self.endpoint.page_size
    }

    /// Returns the maximum number of concurrent requests.
    pub fn concurrency(&self) -> usize {
        self.endpoint.concurrency
    }

    /// Returns the URL of a path at this endpoint.
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

/// Splits a path into its leading version and the rest.
fn split_version(path: &str) -> (Option<&str>, &str) {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let (first, rest) = inner.split_at(inner.find('/').unwrap_or(inner.len()));
    if link::is_version(first) {
        (Some(first), rest)
    } else {
        (None, path)
    }
}

/// Returns the version in a path.
fn version_of(path: &str) -> Option<&str> {
    path.split('/').find(|segment| link::is_version(segment))
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}
