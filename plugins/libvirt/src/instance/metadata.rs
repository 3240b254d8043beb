//! What the metadata of all instances is made with.

use std::borrow::Cow;

use nephoscope_model::{Map, Value};

/// A later value takes the place of an earlier one, as in a dictionary.
pub(super) fn put(map: &mut Map, key: &'static str, value: Value) {
    match map.iter_mut().find(|(known, _)| known == key) {
        Some((_, place)) => *place = value,
        None => map.push((key.into(), value)),
    }
}

/// What the metadata says of sizes: virtual CPUs, MiB, GiB, GiB. (That what is ephemeral is taken off the disk, which is the
/// root disk alone, is ceilometer's doing.)
pub(super) fn sizes(vcpus: i64, ram: i64, disk: i64, ephemeral: i64) -> [(Cow<'static, str>, Value); 5] {
    [
        ("vcpus".into(), vcpus.into()),
        ("memory_mb".into(), ram.into()),
        ("disk_gb".into(), disk.into()),
        ("ephemeral_gb".into(), ephemeral.into()),
        ("root_gb".into(), disk.saturating_sub(ephemeral).into()),
    ]
}
