//! An instance of Nova, and the metadata that its samples carry.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use nephoscope_model::{Map, ResourceBody, Subject, Value};
use sha2::{Digest, Sha224};

use crate::definition::{Definition, Disk, Interface};
use crate::nova::{NovaFlavor, NovaMetadata};
use crate::stats::DomainStats;
use crate::uuid::Uuid;

/// An instance, wherever what is known of it comes from: a pollster needs nothing but this and the hypervisor.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) uuid: Uuid,
    /// What its samples say of it; or why nothing can be said.
    pub(crate) server: Result<Server, String>,
}

/// What samples say of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    /// Of its samples; with a resource id and the metadata of the instance as a whole.
    pub(crate) subject: Arc<Subject>,
    /// The name of its domain, which is part of the resource id of an interface.
    pub(crate) domain: String,
    /// GiB.
    pub(crate) disk: i64,
    /// GiB.
    pub(crate) ephemeral: i64,
}

impl ResourceBody for Instance {
    fn describe(&self) -> Value {
        match &self.server {
            Ok(server) => Value::Map(server.subject.metadata.clone()),
            Err(problem) => Value::Map(vec![("problem".into(), problem.clone().into())]),
        }
    }
}

/// The words of ceilometer for `virDomainState`: what it puts under `state` and `status`.
const STATES: [(&str, &str); 8] = [
    ("pending", "building"),
    ("running", "active"),
    ("running", "active"),
    ("paused", "paused"),
    ("shutdown", "stopped"),
    ("shutdown", "stopped"),
    ("crashed", "error"),
    ("suspended", "suspended"),
];

impl Server {
    /// From what Nova wrote into the domain's definition. `flavor_id` is the flavor's, wherever it is from.
    pub(crate) fn of(
        host: &str,
        stats: &DomainStats,
        definition: &Definition,
        nova: &NovaMetadata,
        flavor_id: &str,
    ) -> Self {
        let mut subject = Subject::new(stats.uuid.to_string());
        subject.project_id = nova.project.as_deref().map(Arc::from);
        subject.user_id = nova.user.as_deref().map(Arc::from);
        subject.metadata = metadata(host, stats, definition, nova, flavor_id);
        Self {
            subject: subject.shared(),
            domain: stats.name.clone(),
            disk: nova.flavor.disk,
            ephemeral: nova.flavor.ephemeral,
        }
    }

    /// The subject of samples with further metadata.
    pub(crate) fn with(&self, key: &'static str, value: impl Into<Value>) -> Arc<Subject> {
        let mut subject = self.subject.as_ref().clone();
        put(&mut subject.metadata, key, value.into());
        subject.shared()
    }

    /// The subject of a disk's samples.
    pub(crate) fn disk(&self, disk: &Disk) -> Arc<Subject> {
        let mut subject = self.subject.as_ref().clone();
        subject.resource_id = format!("{}-{}", self.subject.resource_id, disk.device).into();
        put(&mut subject.metadata, "disk_name", disk.device.clone().into());
        subject.shared()
    }

    /// The subject of an interface's samples. (That `name` is the interface's there, and not the domain's, is
    /// ceilometer's doing.)
    pub(crate) fn interface(&self, interface: &Interface) -> Arc<Subject> {
        let mut subject = self.subject.as_ref().clone();
        subject.resource_id = match &interface.filter {
            Some(filter) => filter.as_str().into(),
            None => format!(
                "{}-{}-{}",
                self.domain, self.subject.resource_id, interface.device
            )
            .into(),
        };
        let parameters = interface.parameters.iter();
        let parameters: Map = parameters
            .map(|(name, value)| (Cow::Owned(name.clone()), value.clone().into()))
            .collect();
        let name = interface.filter.as_ref().unwrap_or(&interface.device);
        let metadata = &mut subject.metadata;
        put(metadata, "name", interface.device.clone().into());
        put(metadata, "mac", interface.mac.clone().into());
        put(metadata, "fref", interface.filter.clone().into());
        put(metadata, "parameters", parameters.into());
        put(metadata, "vnic_name", name.clone().into());
        subject.shared()
    }
}

/// A later value takes the place of an earlier one, as in a dictionary.
fn put(map: &mut Map, key: &'static str, value: Value) {
    match map.iter_mut().find(|(known, _)| known == key) {
        Some((_, place)) => *place = value,
        None => map.push((key.into(), value)),
    }
}

/// The metadata of ceilometer's instance samples, in its order.
fn metadata(
    host: &str,
    stats: &DomainStats,
    definition: &Definition,
    nova: &NovaMetadata,
    flavor_id: &str,
) -> Map {
    let state = stats.state.and_then(|state| usize::try_from(state).ok());
    let state = state.and_then(|state| STATES.get(state));
    let flavor = &nova.flavor;
    let image = nova.root_image.as_ref();
    let mut map: Map = vec![
        ("display_name".into(), nova.name.clone().into()),
        ("name".into(), stats.name.clone().into()),
        ("instance_id".into(), stats.uuid.to_string().into()),
        ("instance_type".into(), flavor.name.clone().into()),
        (
            "host".into(),
            host_id(nova.project.as_deref().unwrap_or_default(), host).into(),
        ),
        ("instance_host".into(), host.to_owned().into()),
        ("flavor".into(), flavor_map(flavor, flavor_id).into()),
        ("status".into(), state.map(|(_, status)| *status).into()),
        ("state".into(), state.map(|(state, _)| *state).into()),
        ("task_state".into(), "".into()),
        (
            "image".into(),
            image.map(|id| vec![("id".into(), id.clone().into())]).into(),
        ),
        ("image_ref".into(), image.cloned().into()),
        ("image_ref_url".into(), Value::Null),
    ];
    if let Some(meta) = nova.image_meta.as_ref().filter(|meta| !meta.is_empty()) {
        map.push(("image_meta".into(), texts(meta)));
    }
    if let Some(architecture) = &definition.architecture {
        map.push(("architecture".into(), architecture.clone().into()));
    }
    if let Some(os_type) = &definition.os_type {
        map.push(("os_type".into(), os_type.clone().into()));
    }
    map.extend([
        ("vcpus".into(), flavor.vcpus.into()),
        ("memory_mb".into(), flavor.ram.into()),
        ("disk_gb".into(), flavor.disk.into()),
        ("ephemeral_gb".into(), flavor.ephemeral.into()),
        (
            "root_gb".into(),
            flavor.disk.saturating_sub(flavor.ephemeral).into(),
        ),
    ]);
    map
}

fn flavor_map(flavor: &NovaFlavor, id: &str) -> Map {
    let mut map: Map = vec![
        ("id".into(), id.to_owned().into()),
        ("name".into(), flavor.name.clone().into()),
        ("vcpus".into(), flavor.vcpus.into()),
        ("ram".into(), flavor.ram.into()),
        ("disk".into(), flavor.disk.into()),
        ("ephemeral".into(), flavor.ephemeral.into()),
        ("swap".into(), flavor.swap.into()),
    ];
    if let Some(specs) = &flavor.extra_specs {
        map.push(("extra_specs".into(), texts(specs)));
    }
    map
}

fn texts(pairs: &[(String, String)]) -> Value {
    let pairs = pairs.iter();
    let map: Map = pairs
        .map(|(name, value)| (Cow::Owned(name.clone()), value.clone().into()))
        .collect();
    map.into()
}

/// Nova's `hostId`, which hides the host's name from projects: SHA-224 of the project's id and the host's name.
fn host_id(project: &str, host: &str) -> String {
    let digest = Sha224::new().chain_update(project).chain_update(host).finalize();
    digest.iter().fold(String::with_capacity(56), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_hidden_as_nova_does() {
        // Computed by ceilometer.
        assert_eq!(
            host_id("p-1", "cmp-a"),
            "8edaf32f904fe0a52747d82d81d30be6a00dbd088da37b45cc22dfac"
        );
    }
}
