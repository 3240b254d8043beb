//! Sizes of volumes, snapshots and backups.

use nephoscope_openstack::{List, Metadata, Record, TOKEN, Table, id, number};
use nephoscope_plugin::model::{MeterDef, Value};
use nephoscope_plugin::{
    CallRate, DiscoveryPlugin, PartitionMode, PollsterPlugin, Registration, Scope, register,
};

use crate::{CINDER, FAMILY, NAMESPACES, VERSIONS, get};

static VOLUMES: Table = Table {
    service: &CINDER,
    call: get("/v3/volumes/detail", CallRate::PerPage(1000)),
    list: List::Member("volumes"),
    request: |request| request.query("all_tenants", "True").paged(),
    key: id,
    project: &["os-vol-tenant-attr:tenant_id"],
    user: &["user_id"],
    metadata: &[
        Metadata::of("name"),
        Metadata::of("status"),
        Metadata::of("volume_type"),
        Metadata::of("volume_type_id"),
        Metadata::of("availability_zone"),
        Metadata::of("os-vol-host-attr:host"),
        Metadata::of("migration_status"),
        Metadata::of("attachments"),
        Metadata::of("snapshot_id"),
        Metadata::of("source_volid"),
        Metadata::computed("image_id", image),
        Metadata::computed("instance_id", instance),
    ],
    members: &["id", "size", "volume_image_metadata"],
    meters: &[(MeterDef::gauge("volume.size", "GiB", "Size of the volume"), size)],
};

static SNAPSHOTS: Table = Table {
    service: &CINDER,
    call: get("/v3/snapshots/detail", CallRate::PerPage(1000)),
    list: List::Member("snapshots"),
    request: |request| request.query("all_tenants", "True").paged(),
    key: id,
    project: &["os-extended-snapshot-attributes:project_id"],
    user: &["user_id"],
    metadata: &[
        Metadata::of("name"),
        Metadata::of("volume_id"),
        Metadata::of("status"),
        Metadata::of("description"),
        Metadata::of("metadata"),
        Metadata::of("os-extended-snapshot-attributes:progress"),
    ],
    members: &["id", "size"],
    meters: &[(
        MeterDef::gauge("volume.snapshot.size", "GiB", "Size of the snapshot's volume"),
        size,
    )],
};

static BACKUPS: Table = Table {
    service: &CINDER,
    call: get("/v3/backups/detail", CallRate::PerPage(1000)),
    list: List::Member("backups"),
    request: |request| request.query("all_tenants", "True").paged(),
    key: id,
    project: &["os-backup-project-attr:project_id"],
    user: &["user_id"],
    metadata: &[
        Metadata::of("name"),
        Metadata::of("is_incremental"),
        Metadata::of("object_count"),
        Metadata::of("container"),
        Metadata::of("volume_id"),
        Metadata::of("status"),
        Metadata::of("description"),
    ],
    members: &["id", "size"],
    meters: &[(
        MeterDef::gauge("volume.backup.size", "GiB", "Size of the backup's volume"),
        size,
    )],
};

fn size(record: &Record) -> nephoscope_openstack::Measured {
    number(record.get("size"))
}

/// Returns the image from which a bootable volume was created.
fn image(volume: &Record) -> Value {
    let image = volume.get("volume_image_metadata").get("image_id");
    image.cloned().unwrap_or_default()
}

/// Returns the server of the first attachment.
fn instance(volume: &Record) -> Value {
    let Value::List(attachments) = volume.get("attachments") else {
        return Value::Null;
    };
    let server = attachments.first().and_then(|first| first.get("server_id"));
    server.cloned().unwrap_or_default()
}

register!(Registration::Discovery(
    DiscoveryPlugin::new("volumes", FAMILY, |context| VOLUMES.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the volumes of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[VOLUMES.call, VERSIONS, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("volume_snapshots", FAMILY, |context| SNAPSHOTS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the volume snapshots of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[SNAPSHOTS.call, VERSIONS, TOKEN])
));

register!(Registration::Discovery(
    DiscoveryPlugin::new("volume_backups", FAMILY, |context| BACKUPS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the volume backups of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[BACKUPS.call, VERSIONS, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("volume", FAMILY, |context| VOLUMES.pollster(context))
        .namespaces(NAMESPACES)
        .description("Sizes of volumes")
        .meters(&const { VOLUMES.meter_defs::<1>() })
        .default_discovery("volumes")
));

register!(Registration::Pollster(
    PollsterPlugin::new("volume.snapshot", FAMILY, |context| SNAPSHOTS.pollster(context))
        .namespaces(NAMESPACES)
        .description("Sizes of volume snapshots")
        .meters(&const { SNAPSHOTS.meter_defs::<1>() })
        .default_discovery("volume_snapshots")
));

register!(Registration::Pollster(
    PollsterPlugin::new("volume.backup", FAMILY, |context| BACKUPS.pollster(context))
        .namespaces(NAMESPACES)
        .description("Sizes of volume backups")
        .meters(&const { BACKUPS.meter_defs::<1>() })
        .default_discovery("volume_backups")
));
