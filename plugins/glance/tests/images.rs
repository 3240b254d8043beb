//! Tests of images with the example of ceilometer's reference and with a simulated cloud.

use nephoscope_cloud::{Cloud, Size};
use nephoscope_glance as _;
use nephoscope_plugin::testing::{Conformance, Kit};
use serde_json::json;

#[tokio::test]
async fn the_samples_are_those_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    cloud.answers(
        "/image/v2/images",
        json!({ "images": [
            { "id": "img-1", "name": "i1", "status": "active", "visibility": "public", "container_format": "bare",
              "disk_format": "qcow2", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z", "min_disk": 1,
              "min_ram": 0, "protected": false, "checksum": "abc", "owner": "t1", "size": 1024, "virtual_size": null, "tags": ["a"] },
            { "id": "img-2", "name": null, "status": "queued", "owner": null, "size": null },
            { "id": "img-3", "owner": "t1", "size": "1 kB" },
        ] }),
    );
    let kit = Kit::new("glance").options_of("openstack", cloud.options());
    let outcome = kit.pollster("image").resources_from("images").poll().await;
    insta::assert_snapshot!(outcome.json_lines());
    insta::assert_snapshot!(outcome.problems(), @"img-3: transient: image.size: the service sent `1 kB`; expected a number");
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("glance")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
