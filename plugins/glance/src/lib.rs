//! Images of Glance.
//!
//! Names, units, ids and metadata are those of ceilometer's discovery `images` and meter `image.size`.

use nephoscope_openstack::{List, Metadata, Root, ServiceDef, TOKEN, Table, id, number};
use nephoscope_plugin::model::MeterDef;
use nephoscope_plugin::{
    CallDef, CallRate, DiscoveryPlugin, Family, PartitionMode, PollsterPlugin, Registration, Scope, register,
};

const FAMILY: &str = "glance";
const NAMESPACES: &[&str] = &["central"];

static GLANCE: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "image",
    root: Root::Endpoint,
    microversion: None,
};

static IMAGES: Table = Table {
    service: &GLANCE,
    call: CallDef::new(FAMILY, "GET", "/v2/images")
        .role("admin")
        .rate(CallRate::PerPage(1000)),
    list: List::Member("images"),
    request: |request| request.paged(),
    key: id,
    project: &["owner"],
    user: &[],
    metadata: &[
        Metadata::of("status"),
        Metadata::of("visibility"),
        Metadata::of("name"),
        Metadata::of("container_format"),
        Metadata::of("created_at"),
        Metadata::of("disk_format"),
        Metadata::of("updated_at"),
        Metadata::of("min_disk"),
        Metadata::named("is_protected", "protected"),
        Metadata::of("checksum"),
        Metadata::of("min_ram"),
        Metadata::of("tags"),
        Metadata::of("virtual_size"),
    ],
    members: &["id", "size"],
    // An image without data has no size, and no sample.
    meters: &[(
        MeterDef::gauge("image.size", "B", "Size of the image's data"),
        |image| number(image.get("size")),
    )],
};

register!(Registration::Family(Family::new(FAMILY, "Glance images")));

register!(Registration::Discovery(
    DiscoveryPlugin::new("images", FAMILY, |context| IMAGES.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the images of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[IMAGES.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("image", FAMILY, |context| IMAGES.pollster(context))
        .namespaces(NAMESPACES)
        .description("Sizes of images")
        .meters(&const { IMAGES.meter_defs::<1>() })
        .default_discovery("images")
));
