//! `nephoscope check --cost`, and its accuracy.

use std::collections::BTreeMap;
use std::str::FromStr;

use nephoscope_cloud::{Cloud, SECRET_KEY, Size, USER};
use nephoscope_tests::Lab;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const SOURCES: &str = r#"
  - {name: sizes, interval: 5m, meters: [volume.size, image.size, "dns.zone.*"]}
  - {name: accounts, interval: 1h, meters: [storage.objects, storage.containers.objects]}
  - {name: nightly, cron: "0 0 3 * * *", meters: [ip.floating, "loadbalancer.*"], resources: [r1, r2]}
"#;

fn offline(sources: &str, options: &str) -> Lab {
    let keys = format!("{{access_key: {USER}, secret_key: {SECRET_KEY}}}");
    Lab::with(&format!(
        "agent: {{namespaces: [central], id: test, state_dir: $LAB/state}}\n\
         notifier: {{publishers: [{{name: none, url: \"discard:\"}}]}}\n\
         plugins: {{openstack: {options}, radosgw: {keys}}}\n\
         sources:{sources}"
    ))
}

#[test]
fn the_cost_of_a_file_is_shown_by_call_and_by_service() {
    let lab = offline(SOURCES, "{page_size: 500}");
    let sizes = ["--resources", "volumes=10000,tenant=300", "--members", "10"];
    let cost = |format: &str| {
        let arguments = [&["check", "--cost", "--format", format], &sizes[..]].concat();
        lab.nephoscope(&arguments).finish().expect(0)
    };
    let table = cost("table");
    insta::assert_snapshot!(table.stdout);
    insta::assert_snapshot!(table.stderr, @r"
    the cost of 10 agents together
    assumed, because `--resources` does not name them: dns_zones=1000, images=1000
    ");
    insta::assert_snapshot!(cost("json").stdout);
    assert!(!lab.path("state").exists(), "it writes nothing");
}

#[test]
fn the_partition_of_a_source_determines_which_agents_send_requests() {
    let source = |partition: &str| {
        format!(
            "\n  - {{name: zones, interval: 1h, meters: [dns.zone.ttl, volume.size], partition: {partition}}}\n"
        )
    };
    let pages = |partition: &str| {
        let lab = offline(&source(partition), "{}");
        let rows = declared(&lab, "4", "2000");
        [
            rows["designate GET /v2/zones"],
            rows["cinder GET /v3/volumes/detail"],
        ]
    };
    assert_eq!(pages("listing"), [2, 2]);
    assert_eq!(pages("resource"), [8, 8]);
}

#[test]
fn names_are_counted_as_often_as_agents_forget_them() {
    let sizes = "volumes=1000,volume_snapshots=5,tenant=20,users=30";
    let names = |interval: &str| {
        let sources = format!(
            "\n  - {{name: all, interval: {interval}, meters: [volume.size, volume.snapshot.size]}}\n"
        );
        let lab = offline(&sources, "{identity_name_discovery: true}");
        let rows = declared(&lab, "3", sizes);
        [
            rows["keystone GET /v3/projects/{}"],
            rows["keystone GET /v3/users/{}"],
        ]
    };
    // One agent has the volumes, and another one may have the snapshots.
    assert_eq!(names("1h"), [20 + 5, 30 + 5]);
    assert_eq!(names("1m"), [6 * (20 + 5), 6 * (30 + 5)]);
}

#[test]
fn declared_calls_match_the_requests_that_services_receive() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for (meters, more) in [
        // Each discovery of LBaaS declares the calls that they share in a cycle.
        (r#"["*", "!network.services.lb.*"]"#, ""),
        // HEAD instead of GET, and the domains.
        ("[storage.objects]", ", ignore_disabled_projects: true"),
        ("[volume.size]", ", identity_name_discovery: true"),
        // Fewer calls by a discovery than by its pollsters.
        (
            "[dns.zone.recordsets, volume.size]",
            ", services: {cinder: {page_size: 4}}",
        ),
    ] {
        compare(&runtime, meters, more);
    }
}

/// Compares the declared cost of one cycle with the requests that a cloud counts.
fn compare(runtime: &Runtime, meters: &str, more: &str) {
    let cloud = runtime.block_on(Cloud::start(Size::of(30)));
    let mut options = cloud.options().to_string();
    options.truncate(options.len() - 1);
    let lab = offline(
        &format!("\n  - {{name: all, interval: 1h, meters: {meters}}}\n"),
        &format!("{options}, page_size: 7{more}}}"),
    );
    let listed = lab
        .nephoscope(&["discover", "tenant", "--format", "json"])
        .finish()
        .expect(0);
    let tenants = format!("tenant={}", listed.stdout.lines().count());
    cloud.forget_counts();
    let sizes = ["--resources", "30", "--resources", &tenants];
    let check = [&["check", "--cost", "--format", "json"], &sizes[..]].concat();
    let declared = calls_of(&lab.nephoscope(&check).finish().expect(0).stdout);
    assert!(
        cloud.counts().is_empty(),
        "no request is sent: {}",
        cloud.counted()
    );

    let once = lab.nephoscope(&["once", "--format", "json"]).finish();
    assert!(!once.samples().is_empty(), "{once}");
    let mut counted = BTreeMap::new();
    for found in cloud.counts() {
        *counted
            .entry(name(found.service, &found.method, &found.path))
            .or_default() += found.count;
    }
    assert_eq!(declared, counted, "of {meters}{more}");
}

/// The calls of one cycle; of occasional calls, one.
fn calls_of(rows: &str) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for row in rows.lines() {
        let row = Value::from_str(row).unwrap();
        let text = |key: &str| row[key].as_str().unwrap();
        // Calls outside of cycles have a rate per hour, and one hour has one cycle here.
        let an_hour = || row["per_hour"].as_f64().unwrap() as u64;
        let count = row["per_cycle"].as_u64().unwrap_or_else(an_hour);
        *calls
            .entry(name(text("service"), text("method"), text("path")))
            .or_default() += count;
    }
    calls.retain(|_, count| *count > 0);
    calls
}

/// The calls of a configuration for a pool with this many members and resources.
fn declared(lab: &Lab, members: &str, resources: &str) -> BTreeMap<String, u64> {
    let arguments = [
        "check",
        "--cost",
        "--format",
        "json",
        "--members",
        members,
        "--resources",
        resources,
    ];
    calls_of(&lab.nephoscope(&arguments).finish().expect(0).stdout)
}

/// Normalizes a call: without the names of path parameters, and without the project that some endpoints contain.
fn name(service: &str, method: &str, path: &str) -> String {
    let path = path.replace("/{project}/", "/");
    let segments = path.split('/');
    let segments = segments.map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    format!("{service} {method} {}", segments.collect::<Vec<_>>().join("/"))
}
