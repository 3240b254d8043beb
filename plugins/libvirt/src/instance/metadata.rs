//! Helpers for the metadata of instances.

use std::borrow::Cow;

use nephoscope_model::{Map, Value};

/// Sets a value; replaces an earlier one.
pub(super) fn put(map: &mut Map, key: &'static str, value: Value) {
    match map.iter_mut().find(|(known, _)| known == key) {
        Some((_, place)) => *place = value,
        None => map.push((key.into(), value)),
    }
}

/// Returns the sizes in the metadata: vCPUs, MiB, GiB, GiB. (`root_gb` is the root disk minus the ephemeral disk, as in
/// ceilometer.)
pub(super) fn sizes(vcpus: i64, ram: i64, disk: i64, ephemeral: i64) -> [(Cow<'static, str>, Value); 5] {
    [
        ("vcpus".into(), vcpus.into()),
        ("memory_mb".into(), ram.into()),
        ("disk_gb".into(), disk.into()),
        ("ephemeral_gb".into(), ephemeral.into()),
        ("root_gb".into(), disk.saturating_sub(ephemeral).into()),
    ]
}
