//! The metadata of an instance from Nova's answer.

use nephoscope_model::{Map, Value};

use crate::instance::metadata::{put, sizes};
use crate::nova::{Flavor, Image, NovaServer};

/// Returns the metadata of ceilometer's instance samples, in its order.
pub(super) fn metadata(server: &NovaServer, flavor: &Flavor, image: Option<&Image>) -> Map {
    let text = |text: &Option<String>| Value::from(text.clone().unwrap_or_default());
    let mut map: Map = vec![
        ("display_name".into(), server.name.clone()),
        ("name".into(), text(&server.instance_name)),
        ("instance_id".into(), server.id.clone().into()),
        ("instance_type".into(), flavor.name.clone().into()),
        ("host".into(), server.host_id.clone()),
        ("instance_host".into(), text(&server.host)),
        ("flavor".into(), flavor_map(server, flavor).into()),
        (
            "status".into(),
            server.status.as_deref().map(str::to_lowercase).into(),
        ),
        ("state".into(), text(&server.vm_state)),
        (
            "task_state".into(),
            server.task_state.clone().unwrap_or_else(|| "".into()),
        ),
        ("image".into(), image_map(server, image)),
        ("image_ref".into(), server.image_id().map(str::to_owned).into()),
        ("image_ref_url".into(), image_url(server)),
    ];
    if let Some(image) = image.filter(|image| !image.meta.is_empty()) {
        map.push(("image_meta".into(), image.meta.clone().into()));
    }
    if let Some(zone) = &server.availability_zone {
        map.push(("OS-EXT-AZ:availability_zone".into(), zone.clone()));
    }
    map.extend([
        (
            "kernel_id".into(),
            image.map_or(Value::Null, |image| image.kernel.clone()),
        ),
        (
            "ramdisk_id".into(),
            image.map_or(Value::Null, |image| image.ramdisk.clone()),
        ),
    ]);
    map.extend(sizes(flavor.vcpus, flavor.ram, flavor.disk, flavor.ephemeral));
    map
}

/// Merges the server's and Nova's attributes of the flavor.
fn flavor_map(server: &NovaServer, flavor: &Flavor) -> Map {
    let mut map = server.flavor.clone();
    put(&mut map, "name", flavor.name.clone().into());
    put(&mut map, "vcpus", flavor.vcpus.into());
    put(&mut map, "ram", flavor.ram.into());
    put(&mut map, "disk", flavor.disk.into());
    put(&mut map, "ephemeral", flavor.ephemeral.into());
    map
}

/// Merges the server's attributes of the image with its name, if known; null for a server that boots from a volume.
fn image_map(server: &NovaServer, image: Option<&Image>) -> Value {
    if server.image.is_empty() {
        return Value::Null;
    }
    let mut map = server.image.clone();
    if let Some(image) = image {
        put(&mut map, "name", image.name.clone());
    }
    map.into()
}

fn image_url(server: &NovaServer) -> Value {
    let links = server.image.iter().find(|(key, _)| key == "links");
    let first = match links {
        Some((_, Value::List(links))) => links.first(),
        _ => None,
    };
    first
        .and_then(|link| link.get("href"))
        .cloned()
        .unwrap_or_default()
}
