//! An account: its totals and its containers.

use std::sync::Arc;

use nephoscope_openstack::{ApiError, HeaderMap, List, Service};
use nephoscope_plugin::model::Subject;
use nephoscope_plugin::{CallDef, Report};
use serde::Deserialize;

use crate::call;

pub(crate) const OBJECTS: &str = "storage.objects";
pub(crate) const SIZE: &str = "storage.objects.size";
pub(crate) const CONTAINERS: &str = "storage.objects.containers";
pub(crate) const CONTAINER_OBJECTS: &str = "storage.containers.objects";
pub(crate) const CONTAINER_SIZE: &str = "storage.containers.objects.size";

/// Sent if meters of containers are enabled.
pub(crate) static LIST: CallDef = call("GET");
/// Sent if they are not.
pub(crate) static HEAD: CallDef = call("HEAD");

/// An account's totals and containers.
#[derive(Debug)]
pub(crate) struct Account {
    objects: Option<u64>,
    bytes: Option<u64>,
    count: Option<u64>,
    containers: Vec<Container>,
}

/// A container in an account's answer.
#[derive(Debug, Deserialize)]
struct Container {
    name: String,
    count: u64,
    bytes: u64,
    #[serde(default)]
    storage_policy: Option<String>,
}

impl Account {
    /// Requests an account, with its containers if `containers` is set.
    pub(crate) async fn ask(swift: Service, name: String, containers: bool) -> Result<Self, ApiError> {
        if !containers {
            let headers = swift.request(&HEAD).segment(name).headers().await?;
            return Ok(Self::new(&headers, Vec::new()));
        }
        let request = swift.request(&LIST).segment(name).query("format", "json");
        let mut listing = request.list(List::Document).marked_by("name");
        let mut found = Vec::new();
        while let Some(container) = listing.next::<Container>().await? {
            found.push(container);
        }
        Ok(Self::new(listing.headers(), found))
    }

    fn new(headers: &HeaderMap, containers: Vec<Container>) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        Self {
            objects: number("x-account-object-count"),
            bytes: number("x-account-bytes-used"),
            count: number("x-account-container-count"),
            containers,
        }
    }

    pub(crate) fn report(self, project: &Arc<str>, report: &mut Report<'_>) {
        let subject = Subject::new(project.clone()).project(project.clone()).shared();
        for (meter, value) in [
            (OBJECTS, self.objects),
            (SIZE, self.bytes),
            (CONTAINERS, self.count),
        ] {
            if let Some(value) = value {
                report.add(meter, &subject, value);
            }
        }
        for container in self.containers {
            let subject = Subject::new(format!("{project}/{}", container.name))
                .project(project.clone())
                .metadata("storage_policy", container.storage_policy)
                .shared();
            report.add(CONTAINER_OBJECTS, &subject, container.count);
            report.add(CONTAINER_SIZE, &subject, container.bytes);
        }
    }
}
