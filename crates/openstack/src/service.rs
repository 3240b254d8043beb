//! A service of a cloud, as plugins see it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use reqwest::Url;

use crate::definition::{Root, ServiceDef};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::link;
use crate::session::Session;

/// A service of a cloud. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) session: Arc<Session>,
    pub(crate) def: &'static ServiceDef,
    pub(crate) endpoint: Arc<Endpoint>,
    /// How many agents share the work that it is asked for.
    pub(crate) members: u32,
}

impl Session {
    /// A service of this cloud. Whether it is there is seen when it is asked.
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
    /// The service for work that so many agents share: each has its part of the rate. The owner of a whole
    /// listing has all of it. [`crate::each`] and the discoveries of tables do this by themselves.
    #[must_use]
    pub fn shared_by(&self, members: NonZeroUsize) -> Self {
        Self {
            members: u32::try_from(members.get()).unwrap_or(u32::MAX),
            ..self.clone()
        }
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
