//! The metadata of an instance from Nova's metadata in its domain.

use std::borrow::Cow;

use nephoscope_model::{Map, Value};
use sha2::{Digest, Sha224};

use crate::definition::{Definition, NovaFlavor, NovaMetadata};
use crate::instance::metadata::sizes;
use crate::stats::DomainStats;

/// Ceilometer's names of `virDomainState`: `state` and `status`.
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

/// Returns the metadata of ceilometer's instance samples, in its order.
pub(super) fn metadata(
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
    map.extend(sizes(flavor.vcpus, flavor.ram, flavor.disk, flavor.ephemeral));
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

/// Returns Nova's `hostId`, which hides the host's name from projects: SHA-224 of the project's id and the host's name.
fn host_id(project: &str, host: &str) -> String {
    hex::encode(Sha224::new().chain_update(project).chain_update(host).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_id_is_that_of_nova() {
        // Computed by ceilometer.
        assert_eq!(
            host_id("p-1", "cmp-a"),
            "8edaf32f904fe0a52747d82d81d30be6a00dbd088da37b45cc22dfac"
        );
    }
}
