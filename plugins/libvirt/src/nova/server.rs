//! A server in Nova's answer.

use nephoscope_model::{Map, Value};
use serde::de::{Deserialize, Deserializer, Error};

use crate::identity::Identity;

/// The longest id of a server, a flavor or an image; longer ones are invalid.
const MAX_ID: usize = 255;

/// The stored attributes of a server.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(crate) struct NovaServer {
    #[serde(deserialize_with = "id")]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: Value,
    #[serde(default)]
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) tenant_id: Option<String>,
    #[serde(default)]
    pub(crate) user_id: Option<String>,
    /// A hash of host and project.
    #[serde(rename = "hostId", default)]
    pub(crate) host_id: Value,
    /// The user's metadata.
    #[serde(default, deserialize_with = "map")]
    pub(crate) metadata: Map,
    /// Its id and links; empty for a server that boots from a volume.
    #[serde(default, deserialize_with = "map_or_empty")]
    pub(crate) image: Map,
    /// Its id and links.
    #[serde(default, deserialize_with = "map_or_empty")]
    pub(crate) flavor: Map,
    /// The name of the domain.
    #[serde(rename = "OS-EXT-SRV-ATTR:instance_name", default)]
    pub(crate) instance_name: Option<String>,
    #[serde(rename = "OS-EXT-SRV-ATTR:host", default)]
    pub(crate) host: Option<String>,
    #[serde(rename = "OS-EXT-STS:vm_state", default)]
    pub(crate) vm_state: Option<String>,
    /// Null is distinct from a missing member.
    #[serde(rename = "OS-EXT-STS:task_state", default, deserialize_with = "sent")]
    pub(crate) task_state: Option<Value>,
    #[serde(rename = "OS-EXT-AZ:availability_zone", default, deserialize_with = "sent")]
    pub(crate) availability_zone: Option<Value>,
}

impl NovaServer {
    /// Returns how its domain is found.
    pub(crate) fn identity(&self) -> Identity {
        Identity::of(&self.id, self.instance_name.as_deref())
    }

    pub(crate) fn flavor_id(&self) -> Option<&str> {
        id_of(&self.flavor)
    }

    /// Returns the boot image.
    pub(crate) fn image_id(&self) -> Option<&str> {
        id_of(&self.image)
    }

    /// Whether the server is measured on this host. (Nova ignores the filter by host for users without the admin role.)
    pub(crate) fn is_measured_at(&self, host: &str) -> bool {
        let is_elsewhere = self
            .host
            .as_deref()
            .is_some_and(|of| !of.eq_ignore_ascii_case(host));
        !is_elsewhere && !matches!(self.vm_state.as_deref(), Some("deleted" | "error"))
    }
}

fn id_of(map: &Map) -> Option<&str> {
    let (_, id) = map.iter().find(|(key, _)| key == "id")?;
    id.as_text().filter(|id| !id.is_empty() && id.len() <= MAX_ID)
}

fn id<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let id = String::deserialize(from)?;
    if id.is_empty() || id.len() > MAX_ID {
        return Err(D::Error::custom("the id is missing or longer than 255 bytes"));
    }
    Ok(id)
}

fn sent<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

fn map<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
    match Value::deserialize(from)? {
        Value::Map(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(D::Error::custom("expected an object")),
    }
}

/// Nova sends an empty string for no image.
fn map_or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
    match Value::deserialize(from)? {
        Value::Map(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        Value::Text(text) if text.is_empty() => Ok(Map::new()),
        _ => Err(D::Error::custom("expected an object or an empty string")),
    }
}
