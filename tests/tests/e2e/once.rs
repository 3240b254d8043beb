//! `nephoscope once`: polls everything once and prints the samples.

use std::collections::BTreeSet;

use nephoscope_tests::{Lab, Sample};
use serde_json::Value;

const HOST: &str = "agent: {namespaces: [host], host: node1, state_dir: $LAB/state}\nsources: [{name: all, interval: 10, meters: [\"*\"]}]\n";

fn synthetic(resources: &str) -> Lab {
    Lab::with(&format!(
        "agent: {{namespaces: [synthetic], host: node1, state_dir: $LAB/state}}\n\
         notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}]}}\n\
         sources:\n\
         \x20 - {{name: good, interval: 10, meters: [synthetic.cycle], resources: [r1]}}\n\
         \x20 - {{name: bad, interval: 10, meters: [synthetic.faulty], resources: [{resources}]}}\n"
    ))
}

#[test]
fn every_meter_of_the_host_is_measured_or_listed_with_a_reason() {
    let lab = Lab::with(HOST);
    let plugins = lab
        .nephoscope(&["plugins", "--format", "json"])
        .finish()
        .expect(0);
    let declared: BTreeSet<String> = plugins
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|plugin| plugin["kind"] == "pollster" && plugin["family"] == "host")
        .flat_map(|pollster| pollster["meters"].as_array().unwrap().clone())
        .map(|meter| meter["published_name"].as_str().unwrap().to_owned())
        .collect();
    assert!(declared.len() > 30, "{declared:?}");
    let finished = lab.nephoscope(&["once", "--format", "json"]).finish().expect(0);
    let found: BTreeSet<String> = finished
        .samples()
        .iter()
        .map(|sample| sample.meter().to_owned())
        .collect();
    for meter in &declared {
        let explained = finished.stderr.lines().any(|line| line.contains(meter.as_str()));
        assert!(
            found.contains(meter) || explained,
            "{meter} is missing\n{}",
            finished.stderr
        );
    }
    assert!(found.is_subset(&declared), "{:?}", found.difference(&declared));
}

#[test]
fn samples_are_messages_of_ceilometer_and_percentages_are_percentages() {
    let lab = Lab::with(HOST);
    let finished = lab.nephoscope(&["once", "--format", "json"]).finish().expect(0);
    let samples = finished.samples();
    let mut percentages = 0;
    for sample in &samples {
        let keys: Vec<&String> = sample.0.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "source",
                "counter_name",
                "counter_type",
                "counter_unit",
                "counter_volume",
                "user_id",
                "user_name",
                "project_id",
                "project_name",
                "resource_id",
                "timestamp",
                "resource_metadata",
                "message_id",
                "monotonic_time",
                "message_signature",
            ]
        );
        let kind = sample.0["counter_type"].as_str().unwrap();
        assert!(["gauge", "delta", "cumulative"].contains(&kind), "{sample:?}");
        assert!(sample.resource().starts_with("node1"), "{sample:?}");
        if sample.unit() == "%" {
            percentages += 1;
            assert!((0.0..=100.0).contains(&sample.volume()), "{sample:?}");
        }
    }
    assert!(percentages > 0);
    let ids: BTreeSet<&str> = samples.iter().map(Sample::id).collect();
    assert_eq!(ids.len(), samples.len(), "message ids are unique");
}

#[test]
fn it_leaves_no_files_behind() {
    let lab = Lab::with(HOST);
    let _ = lab.nephoscope(&["once"]).finish().expect(0);
    let left: Vec<_> = std::fs::read_dir(lab.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["polling.yaml"]);
}

#[test]
fn failures_are_listed_and_isolated() {
    let lab = synthetic("transient, permanent, none");
    let finished = lab.nephoscope(&["once", "--format", "json"]).finish().expect(1);
    let resources: BTreeSet<String> = finished
        .samples()
        .iter()
        .map(|sample| sample.resource().to_owned())
        .collect();
    assert_eq!(resources, ["none", "r1"].map(str::to_owned).into());
    let mut failures: Vec<&str> = finished
        .stderr
        .lines()
        .filter(|line| line.starts_with("failed: "))
        .collect();
    failures.sort_unstable();
    insta::assert_snapshot!(failures.join("\n"), @r"
    failed: synthetic.faulty of permanent: permanent: injected fault `permanent`
    failed: synthetic.faulty of transient: transient: injected fault `transient`
    ");
    assert!(
        !lab.path("samples").exists(),
        "nothing is published without the option"
    );
}

#[test]
fn unsupported_resources_are_not_failures() {
    let _ = synthetic("not_supported, none")
        .nephoscope(&["once"])
        .finish()
        .expect(0);
}

#[test]
fn publishing_is_done_with_the_option() {
    let lab = synthetic("none");
    let finished = lab
        .nephoscope(&["once", "--publish", "--format", "json"])
        .finish()
        .expect(0);
    let mut printed = finished.samples();
    let mut published = nephoscope_tests::samples(&lab.read("samples"));
    let by_id = |one: &Sample, other: &Sample| one.id().cmp(other.id());
    printed.sort_by(by_id);
    published.sort_by(by_id);
    assert_eq!(printed.len(), 2);
    assert_eq!(printed, published);
}

#[test]
fn it_works_next_to_a_running_agent() {
    let lab = synthetic("none");
    let mut program = lab.run();
    program.ready();
    assert_eq!(
        lab.nephoscope(&["once", "--format", "json"])
            .finish()
            .expect(0)
            .samples()
            .len(),
        2
    );
    let _ = program.stop().expect(0);
}

#[test]
fn people_get_a_table() {
    let lab = synthetic("none");
    let finished = lab.nephoscope(&["once"]).start_in_terminal().finish().expect(0);
    let has_row = |cells: [&str; 2]| {
        finished
            .stdout
            .lines()
            .any(|line| cells.iter().all(|cell| line.contains(cell)))
    };
    assert!(
        has_row(["RESOURCE", "METER"]) && has_row(["r1", "synthetic.cycle"]),
        "{finished}"
    );
    assert!(!finished.stdout.contains('{'), "{finished}");
}

#[test]
fn progress_is_shown_after_a_second() {
    let lab = synthetic("none");
    let config = lab.read("polling.yaml").replace(
        "\nsources:",
        "\nplugins: {synthetic: {latency: 1500ms}}\nsources:",
    );
    lab.config(&config);
    let finished = lab.nephoscope(&["once"]).start_in_terminal().finish().expect(0);
    assert!(
        finished.stdout.contains("polling for 1s: 1 samples"),
        "{finished}"
    );
    // Only for people.
    let finished = lab.nephoscope(&["once"]).finish().expect(0);
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_hung_pollster_does_not_block_it_forever() {
    let lab = Lab::with(
        "agent: {namespaces: [synthetic], state_dir: $LAB/state}\n\
         sources:\n\
         \x20 - {name: good, interval: 10, meters: [synthetic.cycle], resources: [r1]}\n\
         \x20 - {name: bad, interval: 10, timeout: 1, meters: [synthetic.faulty], resources: [none, hang]}\n",
    );
    let finished = lab.nephoscope(&["once", "--format", "json"]).finish().expect(1);
    // Samples before the hang count.
    assert_eq!(finished.samples().len(), 2, "{finished}");
    assert!(
        finished.stderr.contains("failed: synthetic.faulty: stopped:"),
        "{finished}"
    );
}
