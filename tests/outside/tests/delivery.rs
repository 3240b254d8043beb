//! A publisher of another crate receives the samples that it selects, through its spool.
//!
//! The program under test is this crate's; `tests/outside/prove` sets its path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nephoscope_plugin::testing::publisher_conformance;
use nephoscope_tests::{Lab, samples};
use outside as _;
use serde_json::{Value, json};

/// Ten sensors.
fn lab() -> Lab {
    let lab = Lab::new();
    let sensors: String = (0..10)
        .map(|index| format!("sensor-{index} K {index}.5\n"))
        .collect();
    lab.write("a.sensors", &sensors);
    lab
}

fn configure(lab: &Lab, publishers: &[&str], sources: &[&str]) {
    let list = |items: &[&str]| {
        items
            .iter()
            .map(|item| format!("  - {{{item}}}\n"))
            .collect::<String>()
    };
    lab.config(&format!(
        "agent: {{namespaces: [sensors], id: test, state_dir: $LAB/state}}\n\
         plugins: {{sensors: {{folder: $LAB}}}}\n\
         notifier:\n  publishers:\n{}sources:\n{}",
        list(publishers),
        list(sources)
    ));
}

/// All sensors, to a publisher with this key `url` and to one that records all samples.
///
/// An agent polls the cycle in progress at its start, which gives the same samples as the agent before. Each agent therefore
/// has a different interval.
fn configure_all(lab: &Lab, url: &str, interval: u32) {
    let publishers = [
        &format!("name: site, {url}") as &str,
        "name: record, url: \"file://$LAB/record\"",
    ];
    let source = format!("name: all, interval: {interval}, meters: [\"sensor-*.value\"]");
    configure(lab, &publishers, &[&source]);
}

const TALLY: &str = "url: \"tally://$LAB/tally\"";
/// Another kind of publisher with the same spool.
const OTHER: &str = "url: \"file://$LAB/other\", spool: {}";

/// Meters and values by the ids of their samples, without duplicates.
type Found = BTreeMap<String, (String, f64)>;

fn found(all: impl Iterator<Item = (String, (String, f64))>) -> Found {
    let mut found = Found::new();
    for (id, what) in all {
        let twin = found.insert(id, what);
        assert_eq!(twin, None, "duplicate sample");
    }
    found
}

/// The samples in a file of the publisher `file`.
fn recorded(lab: &Lab, name: &str) -> Found {
    let all = samples(&lab.read(name)).into_iter();
    found(all.map(|sample| {
        (
            sample.id().to_owned(),
            (sample.meter().to_owned(), sample.volume()),
        )
    }))
}

/// The samples in a tally.
fn tallied(lab: &Lab, name: &str) -> Found {
    let text = lab.read(name);
    found(text.lines().map(|line| {
        let (id, rest) = line.split_once(' ').expect("an id");
        let (meter, value) = rest.split_once('=').expect("a meter and a value");
        (
            id.to_owned(),
            (meter.to_owned(), value.parse().expect("a number")),
        )
    }))
}

/// The state of the spool of the publisher `site`.
fn spool(lab: &Lab) -> Value {
    let shown = lab
        .nephoscope(&["spool", "site", "--format", "json"])
        .finish()
        .expect(0);
    serde_json::from_str(&shown.stdout).expect("JSON")
}

/// Polls while the folder of the tally is missing. Returns the samples in the spool at the end.
fn fill(lab: &Lab) -> Found {
    fs::create_dir(lab.path("tally")).expect("a folder");
    configure_all(lab, TALLY, 1);
    let mut program = lab.run();
    program.log("cannot deliver");
    program.cycles(1);
    program.stop().expect(0);
    fs::remove_dir(lab.path("tally")).expect("nothing is in the folder");
    let polled = recorded(lab, "record");
    assert!(polled.len() >= 10, "{polled:?}");
    assert_held(lab, &polled, false);
    let table = lab.nephoscope(&["spool"]).finish().expect(0).stdout;
    assert!(table.contains("tally/1"), "{table}");
    polled
}

/// Asserts that the spool holds exactly these samples, in the encoding of the tally.
fn assert_held(lab: &Lab, samples: &Found, kept: bool) {
    let spool = spool(lab);
    let encodings = spool["encodings"].as_array().expect("a list");
    let [held] = encodings.as_slice() else {
        panic!("not one encoding: {spool}");
    };
    assert_eq!(
        (&held["encoding"], &held["samples"], &held["unsupported"]),
        (&json!("tally/1"), &json!(samples.len()), &json!(kept)),
        "{spool}"
    );
}

/// Polls with the folder of the tally present, until it has these samples.
fn deliver(lab: &Lab, stored: &Found) {
    configure_all(lab, TALLY, 3);
    let mut program = lab.run();
    program.cycles(1);
    program.until("the stored samples", |_| {
        let tally = lab.path("tally").exists().then(|| lab.read("tally"))?;
        stored.keys().all(|id| tally.contains(id.as_str())).then_some(())
    });
    program.stop().expect(0);
    let spool = spool(lab);
    assert_eq!(
        (&spool["samples"], &spool["dead_letter_batches"]),
        (&json!(0), &json!(0)),
        "{spool}"
    );
}

#[test]
fn samples_in_a_custom_encoding_are_delivered_once_by_the_next_agent() {
    let lab = lab();
    let stored = fill(&lab);
    deliver(&lab, &stored);
    let all = recorded(&lab, "record");
    assert!(all.len() > stored.len());
    assert_eq!(tallied(&lab, "tally"), all);
}

#[test]
fn another_publisher_of_the_spool_retains_unsupported_samples() {
    let lab = lab();
    let stored = fill(&lab);

    configure_all(&lab, OTHER, 2);
    let mut program = lab.run();
    let warning = program.log("the spool holds samples in encodings that the publisher does not accept");
    assert!(warning.contains("tally/1"), "{warning}");
    program.ready();
    program.until("the reason in readyz", |program| {
        let body = program.get("/readyz").body;
        (body.contains("spool_encoding_unsupported") && body.contains("tally/1")).then_some(())
    });
    program.cycles(1);
    assert_held(&lab, &stored, true);
    program.stop().expect(0);
    assert_held(&lab, &stored, true);
    let drained = lab.nephoscope(&["spool", "site", "--drain"]).finish().expect(1);
    assert!(drained.stdout.contains("tally/1"), "{drained}");
    assert_held(&lab, &stored, true);
    let other = recorded(&lab, "other");
    assert!(!other.is_empty());

    // Nothing is lost: the publisher that supports the encoding returns.
    deliver(&lab, &stored);
    let tally = tallied(&lab, "tally");
    let both = found(tally.into_iter().chain(other));
    assert_eq!(both, recorded(&lab, "record"));
}

#[test]
fn each_publisher_receives_the_samples_that_it_selects() {
    let lab = lab();
    configure(
        &lab,
        &[
            "name: some, url: \"tally://$LAB/some\", meters: [\"sensor-[01].value\"]",
            "name: second, url: \"file://$LAB/second\", sources: [second]",
        ],
        &[
            "name: first, interval: 1, meters: [sensor-0.value, sensor-1.value, sensor-9.value]",
            "name: second, interval: 1, meters: [sensor-1.value, sensor-2.value]",
        ],
    );
    let checked = lab.nephoscope(&["check"]).finish().expect(0);
    let untaken = "no publisher selects these meters of the source `first`: sensor-9.value";
    assert!(
        checked.stderr.lines().any(|line| line.ends_with(untaken)),
        "{checked}"
    );
    assert_eq!(
        checked.stderr.matches("no publisher selects").count(),
        1,
        "{checked}"
    );

    let mut program = lab.run();
    let warning = program.log("no publisher accepts these meters");
    assert!(warning.contains("sensor-9.value"), "{warning}");
    program.cycles(2);
    program.stop().expect(0);
    let (some, second) = (tallied(&lab, "some"), recorded(&lab, "second"));
    let meters = |found: &Found| {
        found
            .values()
            .map(|(meter, _)| meter.clone())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        meters(&some),
        ["sensor-0.value", "sensor-1.value"].map(str::to_owned).into()
    );
    assert_eq!(
        meters(&second),
        ["sensor-1.value", "sensor-2.value"].map(str::to_owned).into()
    );
    // A meter of both sources is polled once, and both publishers receive it.
    let shared = |found: &Found| {
        let mut found = found.clone();
        found.retain(|_, (meter, _)| meter == "sensor-1.value");
        found
    };
    assert!(shared(&some).len() >= 2, "{some:?}");
    assert_eq!(shared(&some), shared(&second));
}

#[tokio::test]
async fn the_publisher_conforms() {
    let folder = tempfile::tempdir().expect("a folder");
    publisher_conformance(&format!("tally://{}/tally", folder.path().display()), json!(null)).await;
}
