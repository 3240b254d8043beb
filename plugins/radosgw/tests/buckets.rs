//! Tests of buckets and requests with the example of ceilometer's reference and with a simulated cloud.

use nephoscope_cloud::{Cloud, Fault, FaultKind, SECRET_KEY, Service, Size, USER};
use nephoscope_keystone as _;
use nephoscope_plugin::FailureKind;
use nephoscope_plugin::testing::{Conformance, Kit};
use nephoscope_radosgw as _;
use serde_json::{Value, json};

/// Returns the id of a project.
fn project(number: usize) -> String {
    format!("a{number:031x}")
}

/// Returns the options of the cloud, whose catalog has two services of the same type.
fn openstack(cloud: &Cloud) -> Value {
    let mut options = cloud.options();
    options["services"] = json!({ "radosgw": { "catalog_name": "radosgw" } });
    options
}

fn keys() -> Value {
    json!({ "access_key": USER, "secret_key": SECRET_KEY })
}

fn kit(cloud: &Cloud, options: Value) -> Kit {
    Kit::new("radosgw")
        .options(options)
        .options_of("openstack", openstack(cloud))
}

#[tokio::test]
async fn buckets_and_requests_are_those_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    cloud.answers(
        "/admin/bucket",
        json!([
            { "bucket": "b1", "owner": "t1", "usage": { "rgw.main": { "size_kb": 10, "size_kb_actual": 12, "num_objects": 3 },
              "rgw.multimeta": { "size_kb": 0, "size_kb_actual": 0, "num_objects": 1 } } },
            { "bucket": "b2", "owner": "t1", "usage": {} },
        ]),
    );
    cloud.answers(
        "/admin/usage",
        json!({ "entries": [], "summary": [{ "user": "t1", "categories": [],
            "total": { "bytes_sent": 1, "bytes_received": 2, "ops": 7, "successful_ops": 6 } }] }),
    );
    let kit = kit(&cloud, keys());
    let mut lines = String::new();
    for pollster in ["radosgw", "radosgw.usage"] {
        let outcome = kit.pollster(pollster).resources(["t1"]).poll().await;
        outcome.assert_clean();
        lines.push_str(&outcome.json_lines());
    }
    insta::assert_snapshot!(lines);
}

#[tokio::test]
async fn the_gateway_accepts_signatures_also_for_users_of_tenants() {
    let cloud = Cloud::start(Size::of(2)).await;
    for tenants in [false, true] {
        let mut options = keys();
        options["implicit_tenants"] = json!(tenants);
        let kit = kit(&cloud, options);
        cloud.forget_counts();
        for pollster in ["radosgw", "radosgw.usage"] {
            let outcome = kit
                .pollster(pollster)
                .resources([project(0), project(1)])
                .poll()
                .await;
            outcome.assert_clean();
            assert_eq!(outcome.reported.len(), 2);
        }
        insta::allow_duplicates! {
            insta::assert_snapshot!(cloud.counted(), @r"
            keystone POST /v3/auth/tokens 201 x 1
            radosgw GET /admin/bucket 200 x 2
            radosgw GET /admin/usage 200 x 2
            ");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_reported_and_hidden() {
    let cloud = Cloud::start(Size::of(1)).await;
    let kit = kit(&cloud, json!({ "access_key": USER, "secret_key": "canary" }));
    let outcome = kit.pollster("radosgw").resources([project(0)]).poll().await;
    let failure = outcome.failures[0].chain.clone();
    assert!(!failure.contains("canary"));
    insta::assert_snapshot!(failure, @"radosgw answered 403 to GET /admin/bucket: SignatureDoesNotMatch");
}

#[tokio::test]
async fn unknown_and_failed_projects_affect_no_other_project() {
    let cloud = Cloud::start(Size::of(2)).await;
    cloud.fault(Fault::of(Service::Rgw, FaultKind::Status(500)).times(1));
    let kit = kit(&cloud, keys());
    let outcome = kit
        .pollster("radosgw")
        .resources([project(0), "elsewhere".to_owned(), project(1)])
        .poll()
        .await;
    let mut kinds: Vec<_> = outcome.failures.iter().map(|failure| failure.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [FailureKind::Transient, FailureKind::NotSupported]);
    assert_eq!(outcome.reported.len(), 1);
}

#[tokio::test]
async fn buckets_with_an_unreadable_one_are_not_summed_up() {
    let cloud = Cloud::start(Size::of(2)).await;
    cloud.fault(Fault::of(Service::Rgw, FaultKind::WrongTypes).times(1));
    let kit = kit(&cloud, keys());
    let outcome = kit.pollster("radosgw").resources([project(0)]).poll().await;
    assert_eq!(outcome.samples.len(), 0);
    assert_eq!(outcome.failures[0].kind, FailureKind::Transient);
}

#[tokio::test]
async fn an_empty_answer_is_an_empty_bucket_list_but_an_invalid_usage_log() {
    let cloud = Cloud::start(Size::of(1)).await;
    cloud.fault(Fault::of(Service::Rgw, FaultKind::Empty));
    let kit = kit(&cloud, keys());
    let buckets = kit.pollster("radosgw").resources([project(0)]).poll().await;
    buckets.assert_clean();
    insta::assert_snapshot!(buckets.text(), @r"
    a0000000000000000000000000000000  radosgw.objects  0 object
    a0000000000000000000000000000000  radosgw.objects.size  0 B
    a0000000000000000000000000000000  radosgw.objects.containers  0 object
    ");
    let usage = kit.pollster("radosgw.usage").resources([project(0)]).poll().await;
    assert_eq!(usage.samples.len(), 0);
    insta::assert_snapshot!(usage.problems(), @"a0000000000000000000000000000000: transient: the answer of radosgw to GET /admin/usage cannot be read: it ends before it is complete (line 1, column 0)");
    cloud.heal();
    // The answer of some gateways with a disabled usage log.
    cloud.answers("/admin/usage", json!({}));
    let usage = kit.pollster("radosgw.usage").resources([project(0)]).poll().await;
    insta::assert_snapshot!(usage.problems(), @"a0000000000000000000000000000000: transient: the answer of radosgw to GET /admin/usage cannot be read: it does not have the expected form (line 1, column 2)");
}

#[tokio::test]
async fn without_keys_no_requests_are_sent() {
    let cloud = Cloud::start(Size::of(1)).await;
    let outcome = kit(&cloud, json!({}))
        .pollster("radosgw")
        .resources([project(0)])
        .poll()
        .await;
    assert_eq!(outcome.error.unwrap().kind(), FailureKind::NotSupported);
    assert_eq!(cloud.counted(), "");
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(3)).await;
    Conformance::of("radosgw")
        .options(keys())
        .options_of("openstack", openstack(&cloud))
        .external_discoveries(["tenant"])
        .resources([project(0), project(1)])
        .check()
        .await;
}
