//! Tests of instances from Nova with a simulated cloud.

use std::time::Duration;

use nephoscope_cloud::{Cloud, Fault, FaultKind, Service, Size};
use nephoscope_openstack::TOKEN;
use nephoscope_plugin::{Discovery as _, HumanDuration};
use serde_json::{Value, json};

use crate::discovery::LocalInstances;
use crate::identity;
use crate::nova::{FLAVOR, FLAVORS, IMAGE, SERVERS as SERVERS_CALL};
use crate::options::{Method, Options};
use crate::testing::lab::{FakeDomain, Lab, Polled, instance};

const SERVERS: &str = "/compute/v2.1/servers/detail";

/// The id of the default instance.
const ID: &str = "11111111-1111-1111-1111-111111111111";

fn naive() -> Options {
    Options {
        instance_discovery_method: Method::Naive,
        ..Options::default()
    }
}

/// Creates a lab on a host of the cloud.
fn lab(cloud: &Cloud, options: Options, domains: impl IntoIterator<Item = FakeDomain>) -> Lab {
    Lab::on_host("host-0", cloud.options(), options, domains)
}

/// Returns the domain of a server of the cloud.
fn domain(number: u32) -> FakeDomain {
    let mut domain = instance();
    domain.uuid = identity::uuid(&id(number)).unwrap();
    domain.name = format!("instance-{number:08x}");
    domain
}

fn id(number: u32) -> String {
    format!("00000001-0000-4000-8000-{number:012x}")
}

/// Returns the last digits of the ids of instances with samples of this meter.
fn with(polled: &Polled, meter: &str) -> String {
    let samples = polled
        .samples
        .iter()
        .filter(|sample| &*sample.meter.name == meter);
    let mut ids: Vec<_> = samples
        .filter_map(|sample| sample.subject.resource_id.chars().last())
        .collect();
    ids.sort_unstable();
    ids.into_iter().collect()
}

/// Runs a cycle and returns the measured instances and the errors.
async fn cycle(lab: &Lab, number: i64) -> (String, String) {
    let polled = lab.cycle(number).await;
    let mut errors = polled.failures.clone();
    errors.extend(polled.error.clone());
    (with(&polled, "cpu"), errors.join("\n"))
}

fn fine(ids: &str) -> (String, String) {
    (ids.to_owned(), String::new())
}

/// Returns the server lists requested since the last call: `all`, or the start of the changes.
fn requested(cloud: &Cloud) -> String {
    let urls = cloud.urls(Service::Nova);
    cloud.forget_counts();
    let listings = urls.iter().filter(|url| url.starts_with(SERVERS));
    let kinds = listings.map(|url| match url.split_once("changes-since=1970-01-01T") {
        Some((_, since)) => since.chars().take(12).collect(),
        None => "all".to_owned(),
    });
    kinds.collect::<Vec<_>>().join(", ")
}

/// Returns the server of an example in ceilometer's reference.
fn server() -> Value {
    json!({
        "id": "srv-1", "name": "vm1", "status": "ACTIVE", "tenant_id": "t1", "user_id": "u1", "hostId": "hash1",
        "metadata": { "metering.server_group": "g1", "note": "x" },
        "image": { "id": "img-1", "links": [{ "rel": "bookmark", "href": "http://c/images/img-1" }] },
        "flavor": { "id": "fl-1", "links": [{ "rel": "bookmark", "href": "http://c/flavors/fl-1" }] },
        "OS-EXT-SRV-ATTR:instance_name": "instance-0000000a", "OS-EXT-SRV-ATTR:host": "host-0",
        "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:task_state": null, "OS-EXT-AZ:availability_zone": "az1",
    })
}

/// Returns the server with another value.
fn with_value(mut server: Value, key: &str, value: Value) -> Value {
    server[key] = value;
    server
}

fn without(mut server: Value, key: &str) -> Value {
    server.as_object_mut().unwrap().shift_remove(key);
    server
}

fn flavor() -> Value {
    json!({ "flavor": {
        "id": "fl-1", "name": "m1.small", "vcpus": 1, "ram": 2048, "disk": 20, "OS-FLV-EXT-DATA:ephemeral": 5, "swap": "",
        "links": [],
    } })
}

fn image() -> Value {
    json!({
        "id": "img-1", "name": "i1", "virtual_size": null, "disk_format": "qcow2", "container_format": "bare", "min_disk": 1,
        "protected": false, "kernel_id": "k1", "ramdisk_id": "rd1", "self": "/v2/images/img-1", "file": "/v2/images/img-1/file",
        "schema": "/v2/schemas/image", "direct_url": "rbd://secret",
    })
}

/// Starts a cloud with these servers, one flavor and one image.
async fn cloud_of(servers: impl IntoIterator<Item = Value>) -> Cloud {
    let cloud = Cloud::start(Size::of(0)).await;
    set_servers(&cloud, servers);
    cloud.answers("/compute/v2.1/flavors/fl-1", flavor());
    cloud.answers("/image/v2/images/img-1", image());
    cloud
}

fn set_servers(cloud: &Cloud, servers: impl IntoIterator<Item = Value>) {
    let servers: Vec<_> = servers.into_iter().collect();
    cloud.answers(SERVERS, json!({ "servers": servers }));
}

/// Returns the metadata of a server's samples.
async fn metadata(server: Value) -> String {
    let cloud = cloud_of([server]).await;
    let polled = lab(&cloud, naive(), [instance()]).cycle(1).await;
    assert_eq!(
        (polled.failures.join("\n"), &polled.error),
        (String::new(), &None)
    );
    polled.metadata()
}

#[tokio::test]
async fn the_metadata_is_that_of_ceilometer() {
    // Recorded from ceilometer, except for the name of the domain.
    let expected = concat!(
        r#"{"display_name":"vm1","name":"instance-0000000a","instance_id":"srv-1","instance_type":"m1.small","#,
        r#""host":"hash1","instance_host":"host-0","flavor":{"id":"fl-1","links":[{"rel":"bookmark","href":"http://c/flavors/fl-1"}],"#,
        r#""name":"m1.small","vcpus":1,"ram":2048,"disk":20,"ephemeral":5},"status":"active","state":"active","task_state":null,"#,
        r#""image":{"id":"img-1","links":[{"rel":"bookmark","href":"http://c/images/img-1"}],"name":"i1"},"image_ref":"img-1","#,
        r#""image_ref_url":"http://c/images/img-1","image_meta":{"base_image_ref":"img-1","container_format":"bare","#,
        r#""disk_format":"qcow2","is_protected":"False","min_disk":"1","virtual_size":"None"},"OS-EXT-AZ:availability_zone":"az1","#,
        r#""kernel_id":"k1","ramdisk_id":"rd1","vcpus":1,"memory_mb":2048,"disk_gb":20,"ephemeral_gb":5,"root_gb":15,"#,
        r#""user_metadata":{"server_group":"g1"}}"#,
    );
    assert_eq!(metadata(server()).await, expected);
}

#[tokio::test]
async fn the_samples_are_those_of_the_same_domain() {
    let usual = Lab::new([instance()]).cycle(1).await;
    for id in [ID, "srv-1"] {
        let cloud = cloud_of([with_value(server(), "id", json!(id))]).await;
        let mut polled = lab(&cloud, naive(), [instance()]).cycle(1).await;
        let sample = &polled.samples[0];
        assert_eq!(sample.subject.project_id.as_deref(), Some("t1"));
        assert_eq!(sample.subject.user_id.as_deref(), Some("u1"));
        for sample in &mut polled.samples {
            let mut subject = sample.subject.as_ref().clone();
            subject.resource_id = subject.resource_id.replace(id, ID).into();
            sample.subject = subject.shared();
        }
        assert_eq!(polled.lines(), usual.lines(), "{id}");
    }
}

#[tokio::test]
async fn metadata_contains_the_server_s_attributes() {
    let volume = metadata(with_value(server(), "image", json!(""))).await;
    assert!(
        volume.contains(r#""image":null,"image_ref":null,"image_ref_url":null,"OS-EXT-AZ:availability_zone":"az1","kernel_id":null,"ramdisk_id":null"#),
        "{volume}"
    );
    let names = with_value(server(), "name", json!("číslo 番号 \u{1f600}"));
    let names = with_value(
        names,
        "metadata",
        json!({ "metering.druh": "ž", "metering.host": "taken" }),
    );
    let names = metadata(names).await;
    assert!(names.contains(r#""display_name":"číslo 番号 😀""#), "{names}");
    assert!(names.contains(r#""user_metadata":{"druh":"ž"}}"#), "{names}");
    let busy = metadata(with_value(server(), "OS-EXT-STS:task_state", json!("rebooting"))).await;
    assert!(
        busy.contains(r#""state":"active","task_state":"rebooting""#),
        "{busy}"
    );
    let mut sparse = server();
    for key in [
        "OS-EXT-STS:task_state",
        "OS-EXT-STS:vm_state",
        "OS-EXT-AZ:availability_zone",
        "OS-EXT-SRV-ATTR:host",
        "hostId",
        "metadata",
    ] {
        sparse = without(sparse, key);
    }
    let sparse = metadata(sparse).await;
    assert!(
        sparse.contains(r#""host":null,"instance_host":"","#)
            && sparse.contains(r#""state":"","task_state":"","#)
            && !sparse.contains("az1")
            && !sparse.contains("user_metadata"),
        "{sparse}"
    );
}

#[tokio::test]
async fn deleted_flavors_and_images_have_ceilometer_s_placeholders() {
    // The simulated cloud has neither.
    let gone = with_value(server(), "flavor", json!({ "id": "42" }));
    let gone = with_value(gone, "image", json!({ "id": "img/../x" }));
    let text = metadata(gone).await;
    assert!(
        text.contains(r#""flavor":{"id":"42","name":"unknown-id-42","vcpus":0,"ram":0,"disk":0,"ephemeral":0}"#)
            && text.contains(r#""image":{"id":"img/../x","name":"unknown-id-img/../x"},"image_ref":"img/../x","image_ref_url":null"#)
            && text.contains(r#""kernel_id":null,"ramdisk_id":null,"vcpus":0"#)
            && !text.contains("image_meta"),
        "{text}"
    );
}

#[tokio::test]
async fn changes_are_requested_and_deleted_servers_are_no_longer_measured() {
    // Four servers on each of two hosts.
    let cloud = Cloud::start(Size::of(8)).await;
    let lab = lab(&cloud, naive(), (0..14).map(domain));
    assert_eq!(cycle(&lab, 10).await, fine("0246"));
    let mut urls = cloud.urls(Service::Nova);
    urls.sort_unstable();
    insta::assert_snapshot!(urls.join("\n"), @"
    /compute/v2.1/flavors/0
    /compute/v2.1/flavors/1
    /compute/v2.1/flavors/2
    /compute/v2.1/flavors/4
    /compute/v2.1/servers/detail?all_tenants=True&host=host-0&limit=1000
    ");
    requested(&cloud);
    assert_eq!(cycle(&lab, 11).await, fine("0246"));
    insta::assert_snapshot!(cloud.urls(Service::Nova).join("\n"), @"/compute/v2.1/servers/detail?all_tenants=True&changes-since=1970-01-01T00%3A00%3A40%2B00%3A00&host=host-0&limit=1000");
    insta::assert_snapshot!(cloud.counted(), @"nova GET /v2.1/servers/detail 200 x 1");
    requested(&cloud);
    cloud.churn(2);
    assert_eq!(cycle(&lab, 12).await, fine("2468"));
    assert_eq!(requested(&cloud), "00%3A00%3A50");
    cloud.churn(3);
    assert_eq!(cycle(&lab, 13).await, fine("68ac"));
}

#[tokio::test]
async fn the_full_list_is_requested_again_when_it_has_expired() {
    let cloud = Cloud::start(Size::of(8)).await;
    let options = Options {
        resource_update_interval: HumanDuration::from_secs(25),
        resource_cache_expiry: HumanDuration::from_secs(60),
        ..naive()
    };
    let lab = lab(&cloud, options, (0..8).map(domain));
    let mut all = Vec::new();
    for number in 10..20 {
        assert_eq!(cycle(&lab, number).await, fine("0246"), "{number}");
        all.push(requested(&cloud));
    }
    assert_eq!(
        all,
        [
            "all",
            "",
            "",
            "00%3A00%3A40",
            "",
            "",
            "all",
            "",
            "",
            "00%3A01%3A40"
        ]
    );
    assert_eq!(cycle(&lab, 5).await, fine("0246"));
    assert_eq!(requested(&cloud), "all", "the clock was set back");
}

#[tokio::test]
async fn concurrent_schedules_share_one_request() {
    let cloud = Cloud::start(Size::of(8)).await;
    let lab = lab(&cloud, naive(), (0..8).map(domain));
    let (one, other) = tokio::join!(cycle(&lab, 11), cycle(&lab, 11));
    assert_eq!((one, other), (fine("0246"), fine("0246")));
    assert_eq!(requested(&cloud), "all");
    cycle(&lab, 14).await;
    assert_eq!(requested(&cloud), "00%3A00%3A50");
    assert_eq!(cycle(&lab, 13).await, fine("0246"), "a late cycle");
    assert_eq!(requested(&cloud), "");
}

#[tokio::test]
async fn a_failed_refresh_uses_the_previous_list_and_is_repeated_as_a_whole() {
    let cloud = Cloud::start(Size::of(8)).await;
    let options = Options {
        resource_cache_expiry: HumanDuration::from_secs(30),
        ..naive()
    };
    let lab = lab(&cloud, options, (0..12).map(domain));
    assert_eq!(cycle(&lab, 1).await, fine("0246"));
    cloud.churn(2);
    for kind in [FaultKind::Status(500), FaultKind::Malformed, FaultKind::Html] {
        cloud.fault(Fault::of(Service::Nova, kind.clone()).at("/servers/detail"));
        for number in [2, 4] {
            assert_eq!(cycle(&lab, number).await, fine("0246"), "{kind:?}");
        }
        cloud.heal();
    }
    requested(&cloud);
    assert_eq!(cycle(&lab, 5).await, fine("2468"));
    assert_eq!(requested(&cloud), "all");
}

#[tokio::test]
async fn a_failed_first_list_fails_the_discovery() {
    let cloud = Cloud::start(Size::of(8)).await;
    cloud.fault(Fault::of(Service::Nova, FaultKind::Status(500)));
    let lab = lab(&cloud, naive(), [domain(0)]);
    let (ids, errors) = cycle(&lab, 1).await;
    assert_eq!(ids, "");
    insta::assert_snapshot!(errors, @"cannot list the servers of this host: nova answered 500 to GET /v2.1/servers/detail: Injected fault.");
    cloud.heal();
    assert_eq!(
        cycle(&lab, 2).await,
        fine("0"),
        "the next cycle repeats the request"
    );
}

#[tokio::test]
async fn a_rejected_token_loses_no_sample() {
    let cloud = Cloud::start(Size::of(8)).await;
    let lab = lab(&cloud, naive(), (0..8).map(domain));
    assert_eq!(cycle(&lab, 1).await, fine("0246"));
    cloud.expire_tokens();
    // A fresh token is not renewed, and the previous list is used.
    assert_eq!(cycle(&lab, 2).await, fine("0246"));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    cloud.forget_counts();
    assert_eq!(cycle(&lab, 3).await, fine("0246"));
    insta::assert_snapshot!(cloud.counted(), @"
    keystone POST /v3/auth/tokens 201 x 1
    nova GET /v2.1/servers/detail 200 x 1
    nova GET /v2.1/servers/detail 401 x 1
    ");
}

#[tokio::test]
async fn a_hanging_nova_delays_one_cycle_by_a_part_of_its_time() {
    let cloud = Cloud::start(Size::of(8)).await;
    let lab = lab(&cloud, naive(), (0..8).map(domain));
    assert_eq!(cycle(&lab, 11).await, fine("0246"));
    requested(&cloud);
    cloud.fault(Fault::of(Service::Nova, FaultKind::Hang));
    let polled = lab.cycle_within(12, Duration::from_secs(2), |_| true).await;
    assert_eq!((with(&polled, "cpu").as_str(), &polled.error), ("0246", &None));
    assert_eq!(requested(&cloud), "00%3A00%3A50");
    for number in 13..18 {
        // The test would time out if each cycle waited for Nova.
        assert_eq!(cycle(&lab, number).await, fine("0246"));
    }
    assert_eq!(requested(&cloud), "");
    cloud.heal();
    assert_eq!(cycle(&lab, 18).await, fine("0246"));
    assert_eq!(requested(&cloud), "00%3A00%3A50");
}

#[tokio::test]
async fn a_hanging_glance_loses_no_sample_and_delays_one_cycle() {
    let cloud = Cloud::start(Size::of(8)).await;
    let lab = lab(&cloud, naive(), (0..8).map(domain));
    cloud.fault(Fault::of(Service::Glance, FaultKind::Hang));
    let polled = lab.cycle_within(11, Duration::from_secs(2), |_| true).await;
    assert_eq!(with(&polled, "cpu"), "0246");
    cloud.forget_counts();
    for number in 12..17 {
        assert_eq!(cycle(&lab, number).await, fine("0246"));
    }
    assert_eq!(cloud.urls(Service::Glance), [""; 0]);
    cloud.heal();
    assert!(lab.cycle(17).await.metadata().contains(r#""name":"image-0"}"#));
}

#[tokio::test]
async fn all_pages_are_read() {
    let cloud = Cloud::start(Size::of(25)).await;
    let mut openstack = cloud.options();
    openstack["page_size"] = json!(5);
    let lab = Lab::on_host("host-1", openstack, naive(), [domain(1), domain(23)]);
    let polled = lab.cycle(1).await;
    let of = |meter: &str| {
        let samples = polled.samples.iter();
        samples.filter(|sample| &*sample.meter.name == meter).count()
    };
    assert_eq!((of("disk.root.size"), of("cpu")), (12, 2));
    assert_eq!(requested(&cloud), "all, all, all");
}

#[tokio::test]
async fn a_disappeared_domain_triggers_a_full_list() {
    let servers = [
        with_value(server(), "id", json!(id(1))),
        with_value(server(), "id", json!(id(2))),
    ];
    let cloud = cloud_of(servers.clone()).await;
    let lab = lab(&cloud, naive(), [domain(1), domain(2)]);
    assert_eq!(cycle(&lab, 10).await, fine("12"));
    requested(&cloud);
    // The server has migrated: Nova's answers for this host no longer contain it, not even as a change.
    lab.host.lock().domains.pop();
    set_servers(&cloud, servers.into_iter().take(1));
    let polled = lab.cycle(11).await;
    assert_eq!(with(&polled, "disk.root.size"), "1");
    assert_eq!(requested(&cloud), "all");
    lab.cycle(12).await;
    assert_eq!(requested(&cloud), "00%3A00%3A50");
}

#[tokio::test]
async fn a_server_without_a_domain_has_samples_of_its_flavor() {
    let cloud = cloud_of([
        with_value(server(), "id", json!(id(1))),
        with_value(server(), "id", json!(id(2))),
    ])
    .await;
    let lab = lab(&cloud, naive(), [domain(1)]);
    let polled = lab.cycle(1).await;
    assert_eq!(with(&polled, "disk.root.size"), "12");
    assert_eq!(with(&polled, "disk.ephemeral.size"), "12");
    assert_eq!(with(&polled, "cpu"), "1");
    assert_eq!(polled.failures, [""; 0]);
    let polled = lab
        .cycle_within(2, Duration::from_secs(60), |meter| meter == "cpu")
        .await;
    assert_eq!(
        polled.failures,
        [format!(
            "{}: not_supported: the instance has no domain on this host",
            id(2)
        )]
    );
}

#[tokio::test]
async fn without_libvirt_attributes_from_nova_are_sampled() {
    let cloud = cloud_of([server()]).await;
    let lab = lab(&cloud, naive(), [instance()]);
    lab.host
        .lock()
        .at_stats
        .push_back(crate::testing::lab::Fault::Fails("access denied"));
    let polled = lab.cycle(1).await;
    insta::assert_snapshot!(polled.lines().join("\n"), @"
    disk.ephemeral.size 5 srv-1
    disk.root.size 15 srv-1
    error: cannot get statistics from libvirt: access denied
    ");
}

#[tokio::test]
async fn invalid_servers_affect_no_other_server() {
    let server = |number: u32| with_value(server(), "id", json!(id(number)));
    let cloud = cloud_of([
        json!(7),
        with_value(server(1), "id", json!("")),
        with_value(server(2), "flavor", json!([])),
        without(server(3), "flavor"),
        with_value(server(4), "flavor", json!({ "id": "broken" })),
        with_value(server(5), "OS-EXT-SRV-ATTR:host", json!("host-1")),
        with_value(server(6), "OS-EXT-STS:vm_state", json!("error")),
        with_value(server(7), "OS-EXT-STS:vm_state", json!("deleted")),
        with_value(server(8), "OS-EXT-SRV-ATTR:host", json!("HOST-0")),
        server(9),
    ])
    .await;
    cloud.answers(
        "/compute/v2.1/flavors/broken",
        json!({ "flavor": { "name": "b" } }),
    );
    let lab = lab(&cloud, naive(), (1..10).map(domain));
    let (ids, errors) = cycle(&lab, 1).await;
    assert_eq!(ids, "89");
    insta::assert_snapshot!(errors, @"
    00000001-0000-4000-8000-000000000003: transient: the server has no flavor in Nova's answer
    00000001-0000-4000-8000-000000000004: transient: the server's flavor is unknown: the answer of nova to GET /v2.1/flavors/{flavor} cannot be read: it does not have the expected form (line 1, column 22)
    ");
}

#[tokio::test]
async fn missing_images_lose_no_sample() {
    let cloud = cloud_of([server()]).await;
    cloud.answers("/image/v2/images/img-1", json!("x"));
    let lab = lab(&cloud, naive(), [instance()]);
    let polled = lab.cycle(1).await;
    assert_eq!((polled.samples.len(), &polled.error), (49, &None));
    let metadata = polled.metadata();
    assert!(
        metadata.contains(r#""image":{"id":"img-1","links":[{"rel":"bookmark","href":"http://c/images/img-1"}]},"image_ref":"img-1""#),
        "{metadata}"
    );
    cloud.answers("/image/v2/images/img-1", image());
    assert!(lab.cycle(2).await.metadata().contains(r#""name":"i1"}"#));
}

#[tokio::test]
async fn flavors_and_images_are_requested_once() {
    let cloud = Cloud::start(Size::of(20)).await;
    let lab = lab(&cloud, naive(), (0..20).map(domain));
    for number in 1..5 {
        lab.cycle(number).await;
    }
    insta::assert_snapshot!(cloud.counted(), @"
    glance GET /v2/images/{id} 200 x 10
    keystone POST /v3/auth/tokens 201 x 1
    nova GET /v2.1/flavors/{id} 200 x 5
    nova GET /v2.1/servers/detail 200 x 4
    ");
}

#[tokio::test]
async fn an_implausible_number_of_servers_is_rejected() {
    let servers: Vec<_> = (0..16_385)
        .map(|number| json!({ "id": number.to_string() }))
        .collect();
    let cloud = Cloud::start(Size::of(0)).await;
    set_servers(&cloud, servers);
    let (_, errors) = cycle(&lab(&cloud, naive(), []), 1).await;
    assert_eq!(errors, "Nova lists more than 16384 servers of this host");
}

#[tokio::test]
async fn without_credentials_only_requests_to_nova_fail() {
    let none = Lab::on_host("host-0", json!({}), naive(), [instance()]);
    let (ids, errors) = cycle(&none, 1).await;
    assert_eq!(ids, "");
    assert_eq!(
        errors,
        "cannot list the servers of this host: no credentials for OpenStack are configured"
    );
    let options = Options {
        fetch_extra_metadata: true,
        ..Options::default()
    };
    let lab = Lab::on_host("host-0", json!({}), options, [instance()]);
    assert_eq!(lab.cycle(1).await.samples.len(), 49);
}

/// The default instance in the format of Nova before 2025.2, with a flavor of this name.
fn old(flavor: &str) -> FakeDomain {
    let mut domain = instance();
    domain.define(r#"name="m1.small" id="fl-1""#, &format!(r#"name="{flavor}""#));
    domain
}

fn flavor_id(polled: &Polled) -> String {
    let metadata: Value = serde_json::from_str(&polled.metadata()).unwrap();
    metadata["flavor"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_flavor_s_id_is_requested_if_nova_did_not_write_it() {
    let cloud = Cloud::start(Size::of(4)).await;
    let written = lab(&cloud, Options::default(), [instance()]);
    assert_eq!(flavor_id(&written.cycle(1).await), "fl-1");
    assert_eq!(cloud.counted(), "", "no requests are sent");

    // A flavor that is not public.
    let old = lab(&cloud, Options::default(), [old("m1.size-4")]);
    for number in 1..60 {
        assert_eq!(flavor_id(&old.cycle(number).await), "4");
    }
    insta::assert_snapshot!(cloud.counted(), @"
    keystone POST /v3/auth/tokens 201 x 1
    nova GET /v2.1/flavors 200 x 1
    ");
    assert_eq!(flavor_id(&old.cycle(361).await), "4");
    assert!(
        cloud.counted().contains("flavors 200 x 2"),
        "it has expired: {}",
        cloud.counted()
    );
}

#[tokio::test]
async fn an_unknown_flavor_id_is_replaced_by_the_flavor_s_name() {
    let cloud = Cloud::start(Size::of(4)).await;
    let unknown = lab(&cloud, Options::default(), [old("gone")]);
    for number in [1, 2, 60] {
        assert_eq!(flavor_id(&unknown.cycle(number).await), "gone");
    }
    assert!(cloud.counted().contains("flavors 200 x 1"), "{}", cloud.counted());
    unknown.cycle(61).await;
    assert!(cloud.counted().contains("flavors 200 x 2"), "{}", cloud.counted());

    let failing = lab(&cloud, Options::default(), [old("m1.size-3")]);
    cloud.fault(Fault::of(Service::Nova, FaultKind::Status(500)));
    let polled = failing.cycle(1).await;
    assert_eq!(
        (polled.samples.len(), flavor_id(&polled)),
        (49, "m1.size-3".to_owned())
    );
    cloud.heal();
    assert_eq!(
        flavor_id(&failing.cycle(6).await),
        "m1.size-3",
        "requests pause after a failure"
    );
    assert_eq!(flavor_id(&failing.cycle(7).await), "3");
}

#[tokio::test]
async fn user_metadata_is_requested_if_it_is_enabled() {
    let noted = with_value(server(), "id", json!(ID));
    let cloud = cloud_of([noted.clone()]).await;
    let options = Options {
        fetch_extra_metadata: true,
        ..Options::default()
    };
    let plain = Lab::new([instance()]).cycle(1).await.metadata();
    let with_group = |group: &str| {
        let end = format!(r#","user_metadata":{{"server_group":"{group}"}}}}"#);
        format!(
            "{}{end}",
            plain.strip_suffix('}').unwrap().replace("cmp-a", "host-0")
        )
    };
    let hidden = |metadata: String| {
        // The host's name and so its hash differ.
        let (before, after) = metadata.split_once(r#""host":""#).unwrap();
        format!("{before}{}", after.split_once('"').unwrap().1)
    };
    let mut other = domain(2);
    other.uuid = identity::uuid(&id(2).replace("00000001", "22222222")).unwrap();
    let lab = lab(&cloud, options, [instance(), other]);
    let polled = lab.cycle(1).await;
    assert_eq!(hidden(polled.metadata()), hidden(with_group("g1")));
    assert_eq!(with(&polled, "cpu"), "12", "also servers that Nova does not list");
    insta::assert_snapshot!(cloud.counted(), @"
    keystone POST /v3/auth/tokens 201 x 1
    nova GET /v2.1/servers/detail 200 x 1
    ");
    set_servers(
        &cloud,
        [with_value(
            noted,
            "metadata",
            json!({ "metering.server_group": "g2" }),
        )],
    );
    assert_eq!(hidden(lab.cycle(2).await.metadata()), hidden(with_group("g2")));
}

#[tokio::test]
async fn a_hanging_nova_does_not_delay_instances_from_domains() {
    let cloud = Cloud::start(Size::of(4)).await;
    let options = Options {
        fetch_extra_metadata: true,
        ..Options::default()
    };
    let mut domain = domain(0);
    domain.define(r#"name="m1.small" id="fl-1""#, r#"name="m1.size-3""#);
    let lab = lab(&cloud, options, [domain]);
    cloud.fault(Fault::of(Service::Nova, FaultKind::Hang));
    let polled = lab.cycle_within(11, Duration::from_secs(2), |_| true).await;
    assert_eq!(polled.samples.len(), 49);
    cloud.forget_counts();
    for number in 12..17 {
        assert_eq!(cycle(&lab, number).await, fine("0"));
    }
    assert_eq!(cloud.urls(Service::Nova), [""; 0]);
    cloud.heal();
    assert!(lab.cycle(17).await.metadata().contains("user_metadata"));
}

#[tokio::test]
async fn a_failing_nova_loses_user_metadata_and_no_sample() {
    let cloud = cloud_of([with_value(
        with_value(server(), "id", json!(ID)),
        "flavor",
        json!({ "id": "by-server" }),
    )])
    .await;
    let options = Options {
        fetch_extra_metadata: true,
        ..Options::default()
    };
    cloud.fault(Fault::of(Service::Keystone, FaultKind::Status(401)));
    let broken = lab(&cloud, options.clone(), [instance()]);
    let polled = broken.cycle(1).await;
    assert_eq!(polled.samples.len(), 49);
    assert!(!polled.metadata().contains("user_metadata"));
    cloud.heal();
    let lab = lab(&cloud, options, [old("m1.size-3")]);
    assert_eq!(
        flavor_id(&lab.cycle(1).await),
        "by-server",
        "the server's flavor id is used"
    );
    assert!(!cloud.counted().contains("flavors"), "{}", cloud.counted());
}

#[tokio::test]
async fn only_calls_that_the_options_require_have_a_rate() {
    let cloud = Cloud::start(Size::of(0)).await;
    let noting = Options {
        fetch_extra_metadata: true,
        ..Options::default()
    };
    for (options, expected) in [
        (Options::default(), [false, false, true, false, true]),
        (noting, [true, false, true, false, true]),
        (naive(), [true, true, false, true, true]),
    ] {
        let listing = LocalInstances(lab(&cloud, options, []).family);
        let made =
            [SERVERS_CALL, FLAVOR, FLAVORS, IMAGE, TOKEN].map(|call| listing.rate(&(&call).into()).is_some());
        assert_eq!(made, expected);
    }
    let nowhere = LocalInstances(Lab::new([]).family);
    assert_eq!(nowhere.rate(&(&TOKEN).into()), None);
}
