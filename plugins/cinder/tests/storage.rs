//! Tests of block storage with the examples of ceilometer's reference and with a simulated cloud.

use nephoscope_cinder as _;
use nephoscope_cloud::{Cloud, Size};
use nephoscope_plugin::testing::{Conformance, Kit, Outcome};
use serde_json::{Value, json};

async fn polled(pollster: &str, discovery: &str, path: &str, answer: Value) -> Outcome {
    let cloud = Cloud::start(Size::of(0)).await;
    let project = "5e71ce00000000000000000000000000";
    cloud.answers(&format!("/volume/v3/{project}/{path}"), answer);
    let kit = Kit::new("cinder").options_of("openstack", cloud.options());
    kit.pollster(pollster).resources_from(discovery).poll().await
}

#[tokio::test]
async fn volumes_are_those_of_ceilometer() {
    let all = json!({ "volumes": [
        { "id": "vol-1", "name": "v1", "size": 10, "status": "in-use", "volume_type": "ssd", "volume_type_id": "vt-1",
          "availability_zone": "az1", "os-vol-host-attr:host": "h@b#p", "migration_status": null,
          "attachments": [{ "server_id": "srv-1", "attachment_id": "at", "device": "/dev/vdb", "host_name": null, "volume_id": "vol-1",
            "id": "vol-1" }],
          "snapshot_id": null, "source_volid": null, "user_id": "u9", "os-vol-tenant-attr:tenant_id": "t9",
          "volume_image_metadata": { "image_id": "img-1" } },
        { "id": "vol-2", "size": 1, "attachments": [] },
    ] });
    let outcome = polled("volume", "volumes", "volumes/detail", all).await;
    outcome.assert_clean();
    insta::assert_snapshot!(outcome.json_lines());
}

#[tokio::test]
async fn snapshots_and_backups_are_those_of_ceilometer() {
    let all = json!({ "snapshots": [
        { "id": "sn-1", "name": "s", "volume_id": "vol-1", "status": "available", "description": null, "metadata": { "k": "v" },
          "size": 3, "user_id": "u9", "os-extended-snapshot-attributes:progress": "100%",
          "os-extended-snapshot-attributes:project_id": "t9" },
    ] });
    let outcome = polled("volume.snapshot", "volume_snapshots", "snapshots/detail", all).await;
    outcome.assert_clean();
    insta::assert_snapshot!(outcome.json_lines());
    let all = json!({ "backups": [
        { "id": "bk-1", "name": "b", "is_incremental": false, "object_count": 2, "container": "c", "volume_id": "vol-1",
          "status": "available", "description": null, "size": 3, "user_id": "u9", "os-backup-project-attr:project_id": "t9" },
    ] });
    let outcome = polled("volume.backup", "volume_backups", "backups/detail", all).await;
    outcome.assert_clean();
    insta::assert_snapshot!(outcome.json_lines());
}

#[tokio::test]
async fn pools_are_those_of_ceilometer_and_non_numeric_capacities_are_omitted() {
    let pool = |name: &str, more: Value| {
        let mut capabilities = json!({ "pool_name": "p", "total_capacity_gb": 100.0, "free_capacity_gb": 60.0, "reserved_percentage": 5,
            "provisioned_capacity_gb": 80.0, "max_over_subscription_ratio": "2.0", "thin_provisioning_support": true,
            "allocated_capacity_gb": 40 });
        for (key, value) in more.as_object().unwrap() {
            capabilities[key] = value.clone();
        }
        json!({ "name": name, "capabilities": capabilities })
    };
    let lvm = json!({ "total_capacity_gb": 28.5, "free_capacity_gb": 28.39, "reserved_percentage": 0, "provisioned_capacity_gb": 4.0,
        "max_over_subscription_ratio": 20.0, "allocated_capacity_gb": 0 });
    let mut thick = lvm.clone();
    thick["thin_provisioning_support"] = json!(false);
    let all = json!({ "pools": [
        pool("h@b#p", json!({})),
        pool("h@lvm#thin", lvm),
        pool("h@lvm#thick", thick),
        pool("h@b#empty", json!({ "provisioned_capacity_gb": 0 })),
        pool("h@b#words", json!({ "total_capacity_gb": "unknown", "free_capacity_gb": "infinite" })),
        pool("h@b#invalid", json!({ "reserved_percentage": null, "allocated_capacity_gb": "much" })),
    ] });
    let outcome = polled(
        "volume.provider.pool",
        "volume_pools",
        "scheduler-stats/get_pools",
        all,
    )
    .await;
    insta::assert_snapshot!(outcome.text());
    insta::assert_snapshot!(outcome.problems());
    insta::assert_snapshot!(
        outcome
            .json_lines()
            .lines()
            .take(5)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[tokio::test]
async fn a_service_in_an_unknown_state_fails_alone() {
    let service = |host: &str, state: &str| {
        json!({ "binary": "cinder-volume", "host": host, "zone": "nova", "status": "enabled", "state": state,
            "updated_at": "2026-01-01T00:00:00.000000" })
    };
    let all =
        json!({ "services": [service("h@b", "up"), service("h@c", "unknown"), service("h@d", "down")] });
    let outcome = polled("volume.service", "volume_services", "os-services", all).await;
    insta::assert_snapshot!(outcome.json_lines());
    insta::assert_snapshot!(
        outcome.problems(),
        @"cinder-volume@h@c: transient: volume.service.health: the state of the service is neither `up` nor `down`"
    );
}

#[tokio::test]
async fn pages_are_as_large_as_cinder_allows() {
    let cloud = Cloud::start(Size::of(2_500)).await;
    let kit = Kit::new("cinder").options_of("openstack", cloud.options());
    assert_eq!(kit.discovery("volumes").list().await.unwrap().len(), 2_500);
    insta::assert_snapshot!(cloud.counted(), @r"
    cinder GET /v3/ 200 x 1
    cinder GET /v3/{project}/volumes/detail 200 x 3
    keystone POST /v3/auth/tokens 201 x 1
    ");
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("cinder")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
