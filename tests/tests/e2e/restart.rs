//! Restarts during a cycle: delivered samples are not polled again, and repeated samples have the same ids.

use std::collections::BTreeMap;
use std::fs;

use nephoscope_tests::{Lab, Program, Sample, samples_in};

use crate::cycles::long_cycle;

/// An hourly cycle that has just started, and a cycle every second that shows progress.
fn lab(publishers: &str) -> Lab {
    let long = long_cycle(
        "long",
        "meters: [\"synthetic.*\"], discovery: [\"synthetic://3\"]",
    );
    Lab::with(&format!(
        "agent: {{namespaces: [synthetic], id: test, host: node1, state_dir: $LAB/state, shutdown_timeout: 1s}}\n\
         notifier: {{publishers: [{publishers}]}}\n\
         sources:\n{long}\
         \x20 - {{name: beat, interval: 1, meters: [synthetic.cycle], resources: [beat]}}\n"
    ))
}

/// The samples of the hourly cycle.
fn long(lab: &Lab) -> Vec<Sample> {
    samples_in(&lab.path("samples"))
        .into_iter()
        .filter(|sample| sample.resource() != "beat")
        .collect()
}

fn run_until_polled(lab: &Lab, count: usize) -> Program {
    let mut program = lab.run();
    program.until(&format!("{count} samples of the long cycle"), |_| {
        (long(lab).len() >= count).then_some(())
    });
    program
}

#[test]
fn a_cycle_without_full_delivery_is_polled_again_with_the_same_ids() {
    // The second publisher has no folder yet: the cycle cannot finish.
    let lab =
        lab("{name: file, url: \"file://$LAB/samples\"}, {name: away, url: \"file://$LAB/out/samples\"}");
    let _ = run_until_polled(&lab, 9).kill();
    fs::create_dir(lab.path("out")).unwrap();
    let mut program = run_until_polled(&lab, 18);
    let away = lab.path("out/samples");
    program.until("samples at the other publisher", |_| {
        (samples_in(&away)
            .iter()
            .filter(|sample| sample.resource() != "beat")
            .count()
            >= 9)
            .then_some(())
    });
    let _ = program.stop().expect(0);
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sample in long(&lab) {
        ids.entry(sample.id().to_owned()).or_default().push(format!(
            "{} of {}",
            sample.meter(),
            sample.resource()
        ));
    }
    assert_eq!(ids.len(), 9, "{ids:#?}");
    for named in ids.values() {
        assert!(
            named.len() == 2 && named[0] == named[1],
            "the ids differ: {ids:#?}"
        );
    }
}

#[test]
fn a_finished_cycle_is_not_polled_again() {
    for graceful in [false, true] {
        let lab = lab("{name: file, url: \"file://$LAB/samples\"}");
        let mut program = run_until_polled(&lab, 9);
        if graceful {
            let _ = program.stop().expect(0);
        } else {
            let state = lab.path("state/cycles.json");
            program.until("the state on disk", |_| {
                fs::read_to_string(&state)
                    .ok()
                    .filter(|text| text.contains("every:3600"))
                    .map(drop)
            });
            let _ = program.kill();
        }
        let mut program = lab.run();
        program.ready();
        program.cycles(2);
        let _ = program.stop().expect(0);
        assert_eq!(long(&lab).len(), 9, "graceful: {graceful}");
    }
}

#[test]
fn different_cycles_have_different_ids() {
    let lab = lab("{name: file, url: \"file://$LAB/samples\"}");
    let mut program = run_until_polled(&lab, 9);
    program.cycles(3);
    let _ = program.stop().expect(0);
    let samples = samples_in(&lab.path("samples"));
    let ids: std::collections::BTreeSet<&str> = samples.iter().map(Sample::id).collect();
    assert!(samples.len() >= 11);
    assert_eq!(ids.len(), samples.len());
}

#[test]
fn agents_on_different_hosts_give_shared_resources_the_same_ids() {
    // Two agents without coordination poll the same cycle: a consumer can detect it.
    let one = lab("{name: file, url: \"file://$LAB/samples\"}");
    let other = Lab::new();
    let config = one
        .read("polling.yaml")
        .replace(one.folder().to_str().unwrap(), "$LAB");
    other.config(&config.replace("id: test, host: node1", "id: other, host: node2"));
    let ids = |lab: &Lab| {
        let _ = run_until_polled(lab, 9).stop().expect(0);
        let mut ids: Vec<_> = long(lab).iter().map(|sample| sample.id().to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&one), ids(&other));
}
