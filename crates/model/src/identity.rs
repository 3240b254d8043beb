//! Message ids that every agent computes equally, so that duplicate deliveries of a sample have the same id.
//!
//! An id is a UUID of version 8 from SHA-256 over length-prefixed fields (`docs/compatibility.md`):
//! host (empty unless the group belongs to a host), schedule, start, pollster, resource key, meter, resource id, n.
//! The fields are ordered by how often they change, so that the hash of the first ones is computed
//! once per run and once per resource.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::CycleId;

/// The id of a sample or event, published as `message_id`: a UUID that the agent computes, or the text from a message of another
/// program.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Repr);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Uuid(Uuid),
    /// Never the canonical text of a UUID, so that equal ids compare equal.
    Text(Arc<str>),
}

impl MessageId {
    /// Creates the id from a message of another program, unchanged.
    pub fn upstream(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        match Uuid::try_parse(&text) {
            Ok(uuid) if uuid.hyphenated().encode_lower(&mut [0; 36]) == &*text => Self(Repr::Uuid(uuid)),
            _ => Self(Repr::Text(text)),
        }
    }

    /// The UUID; `None` if another program used a different form.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match &self.0 {
            Repr::Uuid(uuid) => Some(*uuid),
            Repr::Text(_) => None,
        }
    }

    #[cfg(test)]
    pub(crate) fn from_uuid(uuid: Uuid) -> Self {
        Self(Repr::Uuid(uuid))
    }

    /// The text of the id. `buffer` holds the text of a UUID.
    pub fn encode<'a>(&'a self, buffer: &'a mut [u8; 36]) -> &'a str {
        match &self.0 {
            Repr::Uuid(uuid) => uuid.hyphenated().encode_lower(buffer),
            Repr::Text(text) => text,
        }
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.encode(&mut [0; 36]))
    }
}

/// Computes the ids of one pollster run.
#[derive(Clone)]
pub struct RunIds(Sha256);

impl RunIds {
    /// `host` is `agent.host` for a group of the host, and empty for shared groups.
    pub fn new(host: &str, cycle: &CycleId, pollster: &str) -> Self {
        let mut hash = Sha256::new();
        field(&mut hash, host.as_bytes());
        field(&mut hash, cycle.schedule.as_str().as_bytes());
        field(&mut hash, &cycle.start.as_millis().to_be_bytes());
        field(&mut hash, pollster.as_bytes());
        Self(hash)
    }

    /// The ids of one resource's samples.
    pub fn resource(&self, key: &str) -> ResourceIds {
        let mut hash = self.0.clone();
        field(&mut hash, key.as_bytes());
        ResourceIds(hash)
    }
}

/// Computes the ids of one resource's samples in one pollster run.
#[derive(Clone)]
pub struct ResourceIds(Sha256);

impl ResourceIds {
    /// The id of the `n`th sample (from 0) of the resource with this meter and resource id.
    pub fn sample(&self, meter: &str, resource_id: &str, n: u32) -> MessageId {
        let mut hash = self.0.clone();
        field(&mut hash, meter.as_bytes());
        field(&mut hash, resource_id.as_bytes());
        field(&mut hash, &n.to_be_bytes());
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        MessageId(Repr::Uuid(Uuid::new_v8(bytes)))
    }
}

/// Adds a length-prefixed field, so that different lists of fields have different hashes.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    // Keys, names and ids are limited when they are read, far below 4 GiB.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash.update(length.to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScheduleId, Timestamp};

    fn cycle() -> CycleId {
        CycleId::new(
            ScheduleId::new("every:300:0"),
            Timestamp::from_millis(1_767_323_100_000),
            5_891_077,
        )
    }

    #[test]
    fn ids_are_fixed_for_all_versions() {
        // Computed with Python's hashlib over the same fields.
        let id = RunIds::new("node1", &cycle(), "cpu")
            .resource("vm-1")
            .sample("cpu", "vm-1", 0);
        assert_eq!(id.to_string(), "8d31955e-fd40-87d7-be8d-ca7f46f4c246");
        let id = RunIds::new("", &cycle(), "cpu")
            .resource("vm-1")
            .sample("cpu", "vm-1", 1);
        assert_eq!(id.to_string(), "fb550805-fbc2-8534-9255-8058a1f57654");
    }

    #[test]
    fn an_id_of_another_program_is_unchanged() {
        for text in [
            "8d31955e-fd40-87d7-be8d-ca7f46f4c246",
            "8D31955E-FD40-87D7-BE8D-CA7F46F4C246",
            "42",
            "",
            "č",
        ] {
            assert_eq!(MessageId::upstream(text).to_string(), text);
        }
        let own = RunIds::new("node1", &cycle(), "cpu")
            .resource("vm-1")
            .sample("cpu", "vm-1", 0);
        assert_eq!(MessageId::upstream(own.to_string()), own);
        assert_eq!(MessageId::upstream("42").as_uuid(), None);
    }

    #[test]
    fn fields_have_unambiguous_borders() {
        let run = RunIds::new("", &cycle(), "p");
        assert_ne!(
            run.resource("ab").sample("c", "d", 0),
            run.resource("a").sample("bc", "d", 0)
        );
        assert_ne!(
            run.resource("ab").sample("c", "d", 0),
            run.resource("ab").sample("c", "d", 1)
        );
    }
}
