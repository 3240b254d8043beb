//! What is asked of Nova and Glance, and how they answer.

use std::sync::Arc;

use nephoscope_model::{Map, Timestamp, Value};
use nephoscope_openstack::{ApiError, List, Listing, Request, Root, Service, ServiceDef, Session};
use nephoscope_plugin::{CallDef, CallRate};
use serde::Deserialize;

use crate::nova::text::text;

/// Further versions leave the flavor's id out of a server (2.47 and up).
const MICROVERSION: &str = "2.1";

static NOVA: ServiceDef = ServiceDef {
    name: "nova",
    service_type: "compute",
    root: Root::Endpoint,
    // Every Nova has the one that is wanted.
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

/// A flavor, each that servers of this host have.
pub(crate) static FLAVOR: CallDef = get("nova", "/v2.1/flavors/{flavor}", CallRate::Hourly);

/// Names and ids of all flavors.
pub(crate) static FLAVORS: CallDef = get("nova", "/v2.1/flavors", CallRate::Hourly);

/// An image, each that servers of this host have.
pub(crate) static IMAGE: CallDef = get("glance", "/v2/images/{image}", CallRate::Hourly);

const fn get(service: &'static str, path: &'static str, rate: CallRate) -> CallDef {
    CallDef::new(service, "GET", path).role("admin").rate(rate)
}

/// A flavor, as far as samples tell of it.
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

/// An image, as far as samples tell of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Image {
    pub(crate) name: Value,
    pub(crate) kernel: Value,
    pub(crate) ramdisk: Value,
    /// All texts, in the form in which Python prints values.
    pub(crate) meta: Map,
}

/// What stands in the document of a flavor.
#[derive(Deserialize)]
struct FlavorDocument {
    flavor: Flavor,
}

/// Nova and Glance, of one session.
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

    /// How many servers are asked for at once.
    pub(crate) fn page_size(&self) -> u32 {
        self.nova.page_size()
    }

    /// The servers of a host: all, or those that have changed since a time, with those that are deleted.
    pub(crate) fn servers(&self, host: &str, since: Option<Timestamp>) -> Listing {
        let mut request = self.of_nova(&SERVERS).query("all_tenants", "True");
        if let Some(since) = since {
            request = request.query("changes-since", format!("{since}+00:00"));
        }
        request.query("host", host).paged().list(List::Member("servers"))
    }

    /// A flavor; nothing if it is not there any more.
    pub(crate) async fn flavor(&self, id: &str) -> Result<Option<Flavor>, ApiError> {
        let request = self.of_nova(&FLAVOR).segment(id);
        Ok(found(request.document::<FlavorDocument>().await)?.map(|document| document.flavor))
    }

    /// All flavors, public or not.
    pub(crate) fn flavors(&self) -> Listing {
        let request = self.of_nova(&FLAVORS).query("is_public", "None");
        request.paged().list(List::Member("flavors"))
    }

    /// An image; nothing if it is not there any more.
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

/// That there is nothing of this name is an answer.
fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(document) => Ok(Some(document)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Flavor {
    /// What ceilometer says of a flavor that is not there any more.
    pub(crate) fn gone(id: &str) -> Self {
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
    /// What ceilometer says of an image that is not there any more.
    pub(crate) fn gone(id: &str) -> Self {
        Self {
            name: format!("unknown-id-{id}").into(),
            kernel: Value::Null,
            ramdisk: Value::Null,
            meta: Map::new(),
        }
    }

    /// By Glance's document. Samples have the names of Python's SDK for what Glance calls otherwise, and not what says where
    /// the image is kept.
    fn of(id: &str, mut document: serde_json::Map<String, serde_json::Value>) -> Self {
        const RENAMED: [(&str, &str); 4] = [
            ("protected", "is_protected"),
            ("os_hidden", "is_hidden"),
            ("os_hash_algo", "hash_algo"),
            ("os_hash_value", "hash_value"),
        ];
        // An image that was made of a server has a property of the name of what is said first here.
        const LEFT_OUT: [&str; 8] = [
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
            if LEFT_OUT.contains(&member.as_str()) {
                continue;
            }
            let renamed = RENAMED.iter().find(|(known, _)| *known == member);
            let key = renamed.map_or(member.into(), |(_, name)| (*name).into());
            meta.push((key, text(&value.into()).into()));
        }
        meta.sort_by(|(one, _), (other, _)| one.cmp(other));
        // A property may be called what another one is renamed to.
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
    fn no_property_of_an_image_comes_twice() {
        let document = r#"{"id": "img-1", "base_image_ref": "other", "protected": true, "is_protected": "x", "tags": ["a"]}"#;
        let image = Image::of("img-1", serde_json::from_str(document).unwrap());
        let meta = serde_json::to_string(&Value::from(image.meta)).unwrap();
        assert_eq!(
            meta,
            r#"{"base_image_ref":"img-1","is_protected":"True","tags":"['a']"}"#
        );
    }
}
