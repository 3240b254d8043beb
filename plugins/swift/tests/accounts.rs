//! Tests of accounts with the example of ceilometer's reference and with a simulated cloud.

use nephoscope_cloud::{Cloud, Fault, FaultKind, Service, Size};
use nephoscope_keystone as _;
use nephoscope_plugin::testing::{Conformance, Kit};
use nephoscope_swift as _;
use serde_json::json;

/// Returns the id of a project.
fn project(number: usize) -> String {
    format!("a{number:031x}")
}

#[tokio::test]
async fn the_samples_are_those_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    cloud.answers_with(
        "/object-store/v1/AUTH_t1",
        &[
            ("x-account-object-count", "7"),
            ("x-account-bytes-used", "999"),
            ("x-account-container-count", "2"),
        ],
        json!([{ "name": "c1", "count": 3, "bytes": 500, "storage_policy": "gold" }, { "name": "c2", "count": 4, "bytes": 499 }]),
    );
    let kit = Kit::new("swift").options_of("openstack", cloud.options());
    let outcome = kit.pollster("storage").resources(["t1"]).poll().await;
    outcome.assert_clean();
    insta::assert_snapshot!(outcome.json_lines());
}

#[tokio::test]
async fn an_account_takes_one_request_for_all_meters() {
    let cloud = Cloud::start(Size {
        containers: 3,
        ..Size::of(3)
    })
    .await;
    let kit = Kit::new("swift").options_of("openstack", cloud.options());
    let outcome = kit
        .pollster("storage")
        .resources([project(0), project(1), project(2)])
        .poll()
        .await;
    outcome.assert_clean();
    assert_eq!(outcome.samples.len(), 3 * (3 + 2 * 3));
    insta::assert_snapshot!(cloud.counted(), @r"
    keystone POST /v3/auth/tokens 201 x 1
    swift GET /v1/{account} 200 x 3
    ");
    let wanted = [
        "storage.objects",
        "storage.objects.size",
        "storage.objects.containers",
    ];
    cloud.forget_counts();
    let outcome = kit
        .pollster("storage")
        .resources([project(0)])
        .wanted(wanted)
        .poll()
        .await;
    insta::assert_snapshot!(outcome.text(), @r"
    a0000000000000000000000000000000  storage.objects  12 object
    a0000000000000000000000000000000  storage.objects.size  1503 B
    a0000000000000000000000000000000  storage.objects.containers  3 container
    ");
    insta::assert_snapshot!(cloud.counted(), @"swift HEAD /v1/{account} 204 x 1");
}

#[tokio::test]
async fn an_account_with_many_containers_is_read_page_by_page() {
    let cloud = Cloud::start(Size {
        containers: 25,
        ..Size::of(1)
    })
    .await;
    let mut options = cloud.options();
    options["page_size"] = json!(10);
    let kit = Kit::new("swift").options_of("openstack", options);
    let outcome = kit.pollster("storage").resources([project(0)]).poll().await;
    outcome.assert_clean();
    assert_eq!(outcome.samples.len(), 3 + 2 * 25);
    assert_eq!(cloud.requests(Service::Swift), 3);
}

#[tokio::test]
async fn a_missing_account_and_a_failed_one_affect_no_other_project() {
    let cloud = Cloud::start(Size::of(10)).await;
    let kit = Kit::new("swift").options_of("openstack", cloud.options());
    cloud.fault(Fault::of(Service::Swift, FaultKind::Status(403)).times(1));
    let projects = [project(1), project(7), project(2)];
    let outcome = kit.pollster("storage").resources(projects).poll().await;
    let mut kinds: Vec<_> = outcome
        .failures
        .iter()
        .map(|failure| failure.kind.as_str())
        .collect();
    kinds.sort_unstable();
    assert_eq!(
        (outcome.reported.len(), kinds),
        (1, vec!["not_supported", "transient"])
    );
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(9)).await;
    Conformance::of("swift")
        .options_of("openstack", cloud.options())
        .external_discoveries(["tenant"])
        .resources([project(0), project(1)])
        .check()
        .await;
}
