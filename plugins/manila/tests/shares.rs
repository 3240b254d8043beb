//! Tests of shares with the example of ceilometer's reference and with a simulated cloud.

use nephoscope_cloud::{Cloud, Size};
use nephoscope_manila as _;
use nephoscope_plugin::testing::{Conformance, Kit};

#[tokio::test]
async fn the_samples_are_those_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    let project = "5e71ce00000000000000000000000000";
    let share = |id: &str, status: &str, size: serde_json::Value| {
        serde_json::json!({ "id": id, "name": "s1", "availability_zone": "az1", "share_proto": "NFS", "share_type": "default",
            "share_network_id": null, "status": status, "host": "h@b#p", "is_public": false, "size": size, "project_id": "t1" })
    };
    let shares = [
        share("sh-1", "available", 1.into()),
        share("sh-2", "error", 50.into()),
        share(
            "sh-3",
            "shrinking_possible_data_loss_error",
            serde_json::Value::Null,
        ),
        share("sh-4", "unknown", 200.into()),
    ];
    cloud.answers(
        &format!("/share/v2/{project}/shares/detail"),
        serde_json::json!({ "shares": shares }),
    );
    let kit = Kit::new("manila").options_of("openstack", cloud.options());
    let outcome = kit
        .pollster("manila.share")
        .resources_from("manila_shares")
        .poll()
        .await;
    outcome.assert_clean();
    insta::assert_snapshot!(outcome.text());
    insta::assert_snapshot!(
        outcome
            .json_lines()
            .lines()
            .take(2)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[tokio::test]
async fn statuses_have_the_numbers_of_ceilometer() {
    // In the order of their numbers, from 1.
    let words = [
        "available",
        "creating",
        "deleting",
        "error",
        "error_deleting",
        "migrating",
        "extending",
        "shrinking",
        "reverting",
        "inactive",
        "manage_starting",
        "manage_error",
        "unmanage_starting",
        "unmanage_error",
        "unmanaged",
        "extending_error",
        "shrinking_error",
        "reverting_error",
        "awaiting_transfer",
        "backup_creating",
        "backup_restoring",
        "backup_restoring_error",
        "creating_from_snapshot",
        "shrinking_possible_data_loss_error",
        "migrating_to",
        "replication_change",
    ];
    let cloud = Cloud::start(Size::of(0)).await;
    let shares: Vec<_> = words
        .iter()
        .map(|word| serde_json::json!({ "id": word, "status": word }))
        .collect();
    cloud.answers(
        "/share/v2/5e71ce00000000000000000000000000/shares/detail",
        serde_json::json!({ "shares": shares }),
    );
    let kit = Kit::new("manila").options_of("openstack", cloud.options());
    let outcome = kit
        .pollster("manila.share")
        .resources_from("manila_shares")
        .wanted(["manila.share.status"])
        .poll()
        .await;
    let wanted: Vec<String> = (1..=words.len()).map(|number| number.to_string()).collect();
    assert_eq!(outcome.volumes(), wanted);
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("manila")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
