//! The microversion of a request.

use axum::http::HeaderMap;

use crate::refusal::Refusal;
use crate::service::Service;

/// A microversion.
pub(crate) type Version = (u16, u16);

/// The versions of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versions {
    pub(crate) service: Service,
    /// The service's word in `OpenStack-API-Version`.
    pub(crate) word: &'static str,
    /// The service's own header.
    pub(crate) header: &'static str,
    pub(crate) min: Version,
    pub(crate) max: Version,
}

impl Versions {
    /// Returns the version that the request names; the minimum if it names none.
    pub(crate) fn requested(&self, headers: &HeaderMap) -> Result<Version, Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let general = text("openstack-api-version")
            .into_iter()
            .flat_map(|value| value.split(','))
            .find_map(|entry| entry.trim().strip_prefix(self.word)?.strip_prefix(' '));
        let Some(requested) = general.or(text(self.header)) else {
            return Ok(self.min);
        };
        if requested == "latest" {
            return Ok(self.max);
        }
        let version = requested
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let Some(version) = version else {
            let message = format!(
                "API Version String '{requested}' is of invalid format. Must be of format MajorNum.MinorNum."
            );
            return Err(Refusal::new(self.service, 400, message));
        };
        if version < self.min || version > self.max {
            let message = format!(
                "Version {requested} is not supported by the API. Minimum is {}.{} and maximum is {}.{}.",
                self.min.0, self.min.1, self.max.0, self.max.1
            );
            return Err(Refusal::new(self.service, 406, message));
        }
        Ok(version)
    }

    /// Returns the entry of a version document.
    pub(crate) fn entry(&self, id: &str, href: &str) -> serde_json::Value {
        serde_json::json!({
            "id": id,
            "status": "CURRENT",
            "version": format!("{}.{}", self.max.0, self.max.1),
            "min_version": format!("{}.{}", self.min.0, self.min.1),
            "updated": "2026-01-01T00:00:00Z",
            "links": [{ "rel": "self", "href": href }],
        })
    }
}
