//! Faulty plugins next to a healthy one: each fault is isolated and visible.

use nephoscope_tests::{Lab, Program, samples_in};
use serde_json::Value;

use crate::cycles::{long_cycle, without_gap};

/// A healthy source and a faulty one, on the same schedule.
fn lab(faulty: &str, options: &str) -> Lab {
    Lab::with(&config(
        &format!("  - {{name: faulty, interval: 1, {faulty}}}\n"),
        options,
    ))
}

fn config(sources: &str, options: &str) -> String {
    format!(
        "agent: {{namespaces: [synthetic], id: test, host: node1, state_dir: $LAB/state, shutdown_timeout: 3s, limits: {{max_resources_per_discovery: 2000}}}}\n\
         notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}]}}\n\
         plugins: {{synthetic: {{{options}}}}}\n\
         sources:\n\
         \x20 - {{name: healthy, interval: 1, meters: [synthetic.cycle], resources: [r1]}}\n\
         {sources}"
    )
}

/// Runs until the healthy source has had three cycles after the fault was `seen`, and asserts that it missed none.
fn is_isolated(lab: &Lab, mut seen: impl FnMut(&Program) -> bool) -> Program {
    let mut program = lab.run();
    program.ready();
    program.until("the fault is seen", |program| seen(program).then_some(()));
    let samples = lab.path("samples");
    let so_far = without_gap(&samples_in(&samples), "r1")
        .last()
        .copied()
        .unwrap_or_default();
    program.until("three more cycles of the healthy source", |_| {
        (without_gap(&samples_in(&samples), "r1").last().copied() >= Some(so_far + 3)).then_some(())
    });
    assert!(program.is_alive());
    assert_eq!(program.get("/healthz").status, 200);
    program
}

/// Returns the failures of this kind that the pollster's metrics count.
fn failures(program: &Program, kind: &str) -> f64 {
    let labels = ["pollster=\"synthetic.faulty\"", &format!("kind=\"{kind}\"")];
    program
        .get("/metrics")
        .metric("nephoscope_poll_failures_total", &labels)
}

/// Returns whether a recent cycle has a failure note that contains `text`.
fn noted(program: &Program, text: &str) -> bool {
    let cycles = program.json("/api/v1/cycles?limit=50");
    let cycles = cycles["cycles"].as_array().unwrap().clone();
    let polls = cycles.iter().flat_map(|cycle| cycle["polls"].as_array().unwrap());
    let mut notes = polls.flat_map(|poll| poll["notes"].as_array().unwrap());
    notes.any(|note| note["message"].as_str().unwrap().contains(text))
}

fn reasons(program: &Program) -> Vec<Value> {
    program.get("/readyz").json()["reasons"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn a_poll_that_hangs() {
    let lab = lab("meters: [synthetic.faulty], resources: [none, hang]", "");
    let program = is_isolated(&lab, |program| failures(program, "stopped") >= 2.0);
    assert!(noted(&program, "the deadline of the cycle was reached"));
    // Samples measured before the hang count in every cycle.
    let samples = samples_in(&lab.path("samples"));
    assert!(
        samples
            .iter()
            .filter(|sample| sample.resource() == "none")
            .count()
            >= 2
    );
    let _ = program.stop().expect(0);
}

#[test]
fn a_plugin_that_panics() {
    let lab = lab("meters: [synthetic.faulty], resources: [none, panic]", "");
    let program = is_isolated(&lab, |program| failures(program, "defect") >= 2.0);
    assert!(noted(&program, "panicked"));
    let _ = program.stop().expect(0);
}

#[test]
fn a_call_that_blocks_a_thread() {
    let lab = lab(
        "meters: [synthetic.faulty], resources: [block_call]",
        "block_for: 1h",
    );
    let mut program = is_isolated(&lab, |program| {
        program
            .get("/metrics")
            .metric("nephoscope_hung_calls", &["family=\"synthetic\""])
            >= 1.0
    });
    assert!(
        reasons(&program)
            .iter()
            .any(|reason| reason["code"] == "hung_calls"),
        "{:?}",
        reasons(&program)
    );
    // A hung call is not started again: there is one, in any number of cycles.
    program.cycles(2);
    let metrics = program.get("/metrics");
    assert!(
        metrics.metric("nephoscope_hung_calls", &[]) < 2.0,
        "{}",
        metrics.body
    );
    let _ = program.stop().expect(0);
}

#[test]
fn a_poll_that_blocks_the_worker() {
    let lab = lab(
        "meters: [synthetic.faulty], resources: [block_worker]",
        "block_for: 1h",
    );
    let program = is_isolated(&lab, |program| {
        program
            .get("/metrics")
            .metric("nephoscope_pollster_hung", &["pollster=\"synthetic.faulty\""])
            >= 1.0
    });
    let resources = program.json("/api/v1/resources");
    assert_eq!(
        resources["hung"][0]["pollster"], "synthetic.faulty",
        "{resources}"
    );
    assert!(
        reasons(&program)
            .iter()
            .any(|reason| reason["code"] == "pollster_hung"),
        "{:?}",
        reasons(&program)
    );
    let _ = program.stop().expect(0);
}

#[test]
fn undeclared_meters_and_invalid_values() {
    let lab = lab(
        "meters: [synthetic.faulty], resources: [undeclared_meter, not_a_number]",
        "",
    );
    let program = is_isolated(&lab, |program| failures(program, "defect") >= 4.0);
    assert!(noted(
        &program,
        "the meter `synthetic.undeclared` is not declared"
    ));
    assert!(noted(&program, "is not a number"));
    // Only the valid samples of the same resources exist.
    let samples = samples_in(&lab.path("samples"));
    for resource in ["undeclared_meter", "not_a_number"] {
        assert!(
            samples.iter().any(|sample| sample.resource() == resource),
            "{resource}"
        );
    }
    assert!(
        !samples
            .iter()
            .any(|sample| sample.meter() == "synthetic.undeclared")
    );
    let _ = program.stop().expect(0);
}

#[test]
fn a_resource_that_fails_permanently_is_backed_off() {
    let lab = lab("meters: [synthetic.faulty], resources: [none, permanent]", "");
    let mut skipped = 0.0;
    let program = is_isolated(&lab, |program| {
        skipped = program
            .get("/metrics")
            .metric("nephoscope_poll_backed_off_resources_total", &[]);
        skipped >= 2.0
    });
    let resources = program.json("/api/v1/resources");
    let backed_off = &resources["backed_off"][0];
    assert_eq!(backed_off["resources"][0]["key"], "permanent", "{resources}");
    assert_eq!(
        backed_off["resources"][0]["reason"], "injected fault `permanent`",
        "{resources}"
    );
    // It was not polled in the cycles in which it was skipped.
    assert!(failures(&program, "permanent") <= skipped);
    let _ = program.stop().expect(0);
}

#[test]
fn an_endless_listing() {
    let lab = lab(
        "meters: [synthetic.faulty], discovery: [\"synthetic-faulty://endless\"]",
        "",
    );
    let labels = ["discovery=\"synthetic-faulty://endless\""];
    let program = is_isolated(&lab, |program| {
        program
            .get("/metrics")
            .metric("nephoscope_discovery_failures_total", &labels)
            >= 2.0
    });
    let cycles = program.get("/api/v1/cycles").body;
    assert!(
        cycles.contains("agent.limits.max_resources_per_discovery"),
        "{cycles}"
    );
    assert!(
        program.peak_memory() < 128 << 20,
        "{} bytes",
        program.peak_memory()
    );
    let _ = program.stop().expect(0);
}

#[test]
fn failed_listings_keep_the_resources_before_the_failure() {
    for fault in ["hang", "panic", "error"] {
        let discovery = format!("meters: [synthetic.faulty], discovery: [\"synthetic-faulty://{fault}\"]");
        let lab = lab(&discovery, "");
        let program = is_isolated(&lab, |program| {
            let metrics = program.get("/metrics");
            metrics.metric("nephoscope_discovery_failures_total", &[]) >= 1.0
                && reasons(program)
                    .iter()
                    .any(|reason| reason["code"] == "discovery_failed")
        });
        let samples = samples_in(&lab.path("samples"));
        assert!(
            samples.iter().any(|sample| sample.resource() == "none.2"),
            "{fault}"
        );
        let _ = program.stop().expect(0);
    }
}

#[test]
fn a_million_samples_of_one_resource() {
    let flood = long_cycle("flood", "meters: [synthetic.faulty], resources: [flood]");
    // The samples are only counted: they are too many for a test to read.
    let lab = Lab::with(&config(&flood, "").replace("file://$LAB/samples", "discard:"));
    let mut program = lab.run();
    program.ready();
    let metrics = program.until("all samples, or the end of the poll", |program| {
        let metrics = program.get("/metrics");
        let labels = ["pollster=\"synthetic.faulty\""];
        let ended = metrics.metric("nephoscope_poll_failures_total", &labels) > 0.0
            || metrics.metric("nephoscope_polls_total", &labels) > 0.0;
        ended.then_some(metrics)
    });
    assert!(
        metrics.metric(
            "nephoscope_poll_samples_total",
            &["pollster=\"synthetic.faulty\""]
        ) >= 1e6,
        "{}",
        metrics.body
    );
    // Published, or lost at a bound and counted: no sample disappears silently.
    let metrics = program.get("/metrics");
    let counted =
        |what: &str| metrics.metric(&format!("nephoscope_publisher_{what}"), &["publisher=\"file\""]);
    let sum = [
        "delivered_samples_total",
        "dropped_samples_total",
        "rejected_samples_total",
        "queued_samples",
    ]
    .map(counted);
    let submitted = counted("submitted_samples_total");
    assert!(
        submitted > 1e6 && (sum.iter().sum::<f64>() - submitted).abs() < 0.5,
        "{sum:?} of {submitted}"
    );
    assert!(program.peak_memory() < 1 << 30, "{} bytes", program.peak_memory());
    // The healthy source had its one sample in each cycle.
    let beats = program.until("three cycles of the healthy source", |program| {
        let cycles = program.json("/api/v1/cycles?limit=100")["cycles"]
            .as_array()
            .unwrap()
            .clone();
        let beats: Vec<Value> = cycles
            .into_iter()
            .filter(|cycle| cycle["schedule"] == "every 1s")
            .collect();
        (beats.len() >= 3).then_some(beats)
    });
    let numbers: Vec<i64> = beats
        .iter()
        .map(|cycle| cycle["cycle"]["number"].as_i64().unwrap())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] == pair[1] + 1),
        "{numbers:?}"
    );
    assert!(beats.iter().all(|cycle| cycle["samples"] == 1), "{beats:?}");
    let _ = program.stop().expect(0);
}

#[test]
fn the_json_log_stays_valid_when_a_plugin_panics() {
    let lab = lab("meters: [synthetic.faulty], resources: [panic]", "");
    let mut program = lab
        .nephoscope(&["run", "--log-format", "json", "--log-level", "debug"])
        .start();
    program.log("panicked");
    program.cycles(1);
    let finished = program.stop().expect(0);
    for line in finished.stderr.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}\n{finished}");
    }
}
