//! Requests to Nova and Glance, and their answers.

use std::sync::Arc;

use nephoscope_model::{Map, Timestamp, Value};
use nephoscope_openstack::{ApiError, List, Listing, Request, Root, Service, ServiceDef, Session};
use nephoscope_plugin::{CallDef, CallRate};
use serde::Deserialize;

use crate::nova::text::text;

/// Versions from 2.47 omit the flavor's id in a server.
const MICROVERSION: &str = "2.1";

static NOVA: ServiceDef = ServiceDef {
    name: "nova",
    service_type: "compute",
    root: Root::Endpoint,
    // Every Nova supports the requested version.
    microversion: None,
};

static GLANCE: ServiceDef = ServiceDef {
    name: "glance",
    service_type: "image",
    root: Root::Endpoint,
    microversion: None,
};

/// The servers of this host, or those that have changed.
pub(crate) static SERVERS: CallDef = get("nova", "/v2.1/servers/detail", CallRate::PerPage(1000));

/// A flavor; one request per flavor of this host's servers.
pub(crate) static FLAVOR: CallDef = get("nova", "/v2.1/flavors/{flavor}", CallRate::Hourly);

/// Names and ids of all flavors.
pub(crate) static FLAVORS: CallDef = get("nova", "/v2.1/flavors", CallRate::Hourly);

/// An image; one request per image of this host's servers.
pub(crate) static IMAGE: CallDef = get("glance", "/v2/images/{image}", CallRate::Hourly);

const fn get(service: &'static str, path: &'static str, rate: CallRate) -> CallDef {
    CallDef::new(service, "GET", path).role("admin").rate(rate)
}

/// The attributes of a flavor for samples.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Flavor {
    pub(crate) name: String,
    pub(crate) vcpus: i64,
    /// MiB.
    pub(crate) ram: i64,
    /// GiB.
    pub(crate) disk: i64,
    /// GiB.
    #[serde(rename = "OS-FLV-EXT-DATA:ephemeral", default)]
    pub(crate) ephemeral: i64,
}

/// The attributes of an image for samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Image {
    pub(crate) name: Value,
    pub(crate) kernel: Value,
    pub(crate) ramdisk: Value,
    /// All values are strings, formatted as in Python.
    pub(crate) meta: Map,
}

/// The document of a flavor.
#[derive(Deserialize)]
struct FlavorDocument {
    flavor: Flavor,
}

/// Clients of Nova and Glance in one session.
#[derive(Debug)]
pub(crate) struct Api {
    nova: Service,
    glance: Service,
}

impl Api {
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        Self {
            nova: session.service(&NOVA),
            glance: session.service(&GLANCE),
        }
    }

    /// Returns the page size of server lists.
    pub(crate) fn page_size(&self) -> u32 {
        self.nova.page_size()
    }

    /// Lists the servers of a host: all, or those changed since a time, including deleted ones.
    pub(crate) fn servers(&self, host: &str, since: Option<Timestamp>) -> Listing {
        let mut request = self.of_nova(&SERVERS).query("all_tenants", "True");
        if let Some(since) = since {
            request = request.query("changes-since", format!("{since}+00:00"));
        }
        request.query("host", host).paged().list(List::Member("servers"))
    }

    /// Returns a flavor; `None` if it no longer exists.
    pub(crate) async fn flavor(&self, id: &str) -> Result<Option<Flavor>, ApiError> {
        let request = self.of_nova(&FLAVOR).segment(id);
        Ok(found(request.document::<FlavorDocument>().await)?.map(|document| document.flavor))
    }

    /// Lists all flavors, public and private.
    pub(crate) fn flavors(&self) -> Listing {
        let request = self.of_nova(&FLAVORS).query("is_public", "None");
        request.paged().list(List::Member("flavors"))
    }

    /// Returns an image; `None` if it no longer exists.
    pub(crate) async fn image(&self, id: &str) -> Result<Option<Image>, ApiError> {
        let request = self.glance.request(&IMAGE).segment(id);
        let document = found(request.document::<serde_json::Map<_, _>>().await)?;
        Ok(document.map(|document| Image::of(id, document)))
    }

    fn of_nova(&self, call: &'static CallDef) -> Request {
        let request = self.nova.request(call);
        request
            .header("openstack-api-version", "compute 2.1")
            .header("x-openstack-nova-api-version", MICROVERSION)
    }
}

/// Converts the status 404 to `None`.
fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(document) => Ok(Some(document)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Flavor {
    /// Returns ceilometer's placeholder for a deleted flavor.
    pub(crate) fn deleted(id: &str) -> Self {
        Self {
            name: format!("unknown-id-{id}"),
            vcpus: 0,
            ram: 0,
            disk: 0,
            ephemeral: 0,
        }
    }
}

impl Image {
    /// Returns ceilometer's placeholder for a deleted image.
    pub(crate) fn deleted(id: &str) -> Self {
        Self {
            name: format!("unknown-id-{id}").into(),
            kernel: Value::Null,
            ramdisk: Value::Null,
            meta: Map::new(),
        }
    }

    /// Parses Glance's document. Samples use the attribute names of Python's SDK, and omit the image's location.
    fn of(id: &str, mut document: serde_json::Map<String, serde_json::Value>) -> Self {
        const RENAMED: [(&str, &str); 4] = [
            ("protected", "is_protected"),
            ("os_hidden", "is_hidden"),
            ("os_hash_algo", "hash_algo"),
            ("os_hash_value", "hash_value"),
        ];
        // An image created from a server has a property `base_image_ref`.
        const OMITTED: [&str; 8] = [
            "base_image_ref",
            "id",
            "metadata",
            "self",
            "file",
            "schema",
            "direct_url",
            "locations",
        ];
        let mut take = |name: &str| Value::from(document.remove(name).unwrap_or_default());
        let (name, kernel, ramdisk) = (take("name"), take("kernel_id"), take("ramdisk_id"));
        let mut meta: Map = Vec::with_capacity(document.len() + 1);
        for (member, value) in document {
            if OMITTED.contains(&member.as_str()) {
                continue;
            }
            let renamed = RENAMED.iter().find(|(known, _)| *known == member);
            let key = renamed.map_or(member.into(), |(_, name)| (*name).into());
            meta.push((key, text(&value.into()).into()));
        }
        meta.sort_by(|(one, _), (other, _)| one.cmp(other));
        // A property may have the name to which another one is renamed.
        meta.dedup_by(|(one, _), (other, _)| one == other);
        meta.insert(0, ("base_image_ref".into(), id.to_owned().into()));
        Self {
            name,
            kernel,
            ramdisk,
            meta,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_metadata_has_no_duplicate_keys() {
        let document = r#"{"id": "img-1", "base_image_ref": "other", "protected": true, "is_protected": "x", "tags": ["a"]}"#;
        let image = Image::of("img-1", serde_json::from_str(document).unwrap());
        let meta = serde_json::to_string(&Value::from(image.meta)).unwrap();
        assert_eq!(
            meta,
            r#"{"base_image_ref":"img-1","is_protected":"True","tags":"['a']"}"#
        );
    }
}
