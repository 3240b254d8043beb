//! Every command and a running agent treat pollsters from files like compiled ones.
//!
//! The program under test is this crate's; `tests/outside/prove` sets its path.

use nephoscope_plugin::testing::{Conformance, Kit};
use nephoscope_tests::{Lab, Program, Signal};
use outside as _;
use serde_json::{Value, json};

/// Ten sensors.
fn ten() -> String {
    (0..10)
        .map(|index| format!("sensor-{index} °C {index}.5\n"))
        .collect()
}

fn lab(sensors: &str) -> Lab {
    let lab = Lab::with(
        "agent: {namespaces: [sensors], id: test, state_dir: $LAB/state}\n\
         notifier: {publishers: [{name: file, url: \"file://$LAB/samples\"}]}\n\
         plugins: {sensors: {folder: $LAB}}\n\
         sources: [{name: all, interval: 1, meters: [\"sensor-*.value\"]}]\n",
    );
    lab.write("a.sensors", sensors);
    lab
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

#[test]
fn plugins_lists_them_with_their_locations() {
    let lab = lab(&ten());
    let shown = lines(
        &lab.nephoscope(&["plugins", "--format", "json"])
            .finish()
            .expect(0)
            .stdout,
    );
    let sensors: Vec<_> = shown
        .iter()
        .filter(|plugin| plugin["kind"] == "pollster" && plugin["family"] == "sensors")
        .collect();
    assert_eq!(sensors.len(), 10);
    assert_eq!(
        lab.without_place(sensors[2]["defined_at"].as_str().unwrap()),
        "$LAB/a.sensors:3:1"
    );
    assert_eq!(sensors[2]["meters"][0]["name"], "sensor-2.value");
    assert_eq!(sensors[2]["meters"][0]["unit"], "°C");
}

#[test]
fn check_plans_them_and_counts_their_calls() {
    let lab = lab(&ten());
    let plan = lines(
        &lab.nephoscope(&["check", "--format", "json"])
            .finish()
            .expect(0)
            .stdout,
    );
    assert_eq!(plan.len(), 10);
    assert_eq!(plan[9]["pollster"], "sensor-9");
    assert_eq!(plan[9]["discovery"], json!(["site"]));
    let cost = lab.nephoscope(&["check", "--cost", "--resources", "1", "--format", "json"]);
    let cost = lines(&cost.finish().expect(0).stdout);
    assert_eq!(cost.len(), 10);
    assert_eq!(
        (&cost[3]["service"], &cost[3]["path"], &cost[3]["per_cycle"]),
        (&json!("site"), &json!("/sensor-3"), &json!(1))
    );
}

#[test]
fn once_polls_them() {
    let lab = lab(&ten());
    // All of them read one listing, which is available immediately: none may miss it, whichever starts first.
    for _ in 0..5 {
        let samples = lines(
            &lab.nephoscope(&["once", "--format", "json"])
                .finish()
                .expect(0)
                .stdout,
        );
        assert_eq!(samples.len(), 10);
        let of = |name: &str| {
            samples
                .iter()
                .find(|sample| sample["counter_name"] == name)
                .expect("a sample")
        };
        assert_eq!(of("sensor-7.value")["counter_volume"], 7.5);
        assert_eq!(of("sensor-7.value")["resource_id"], "here");
    }
}

#[test]
fn a_near_miss_in_a_source_gets_a_hint() {
    let lab = lab(&ten());
    let config = lab
        .read("polling.yaml")
        .replace("sensor-*.value", "sensor-1.valeu");
    lab.config(&config);
    let checked = lab.nephoscope(&["check"]).finish().expect(0);
    assert!(
        checked.stderr.contains("did you mean `sensor-1.value`?"),
        "{}",
        checked.stderr
    );
}

#[test]
fn a_broken_file_is_reported_with_all_errors() {
    let lab = lab("sensor-0 °C 1\nsensor-1 °C warm\nsensor-2 K\nsensor-0 K 2\npassword: hunter2 x y\n");
    let checked = lab.nephoscope(&["check"]).finish().expect(2);
    let shown = lab.without_place(&checked.stderr);
    for part in [
        "error[bad-definition]: `sensor-1`: `value`: it is not a number",
        "$LAB/a.sensors:2:13",
        "sensor-1 °C warm",
        "expected a number",
        "error[definition-rejected]: `sensor-2`: invalid sensor",
        "$LAB/a.sensors:3:1",
        "expected a name, a unit and a value",
        "$LAB/a.sensors:4:1",
        "duplicate",
        "$LAB/a.sensors:1:1",
        "first defined here",
        "$LAB/a.sensors:5:1",
    ] {
        assert!(shown.contains(part), "`{part}` is missing in:\n{shown}");
    }
    assert!(!shown.contains("hunter2"), "a secret is shown:\n{shown}");
    // Nothing is polled with it either; `plugins` still lists the compiled plugins.
    let _ = lab.nephoscope(&["once"]).finish().expect(2);
    let listed = lab
        .nephoscope(&["plugins", "--format", "json"])
        .finish()
        .expect(2);
    assert!(
        lines(&listed.stdout)
            .iter()
            .any(|plugin| plugin["kind"] == "publisher")
    );
}

fn reasons(program: &Program) -> String {
    program.get("/readyz").body
}

#[test]
fn an_agent_continues_without_rejected_definitions_and_keeps_its_configuration_when_a_file_breaks() {
    let lab = lab("sensor-0 °C 1\nsensor-1 K\n");
    let mut program = lab.run();
    let warning = program.log("`sensor-1`: invalid sensor");
    assert!(warning.contains("a.sensors:2:1"), "{warning}");
    let _ = program.cycles(1);
    let ready = reasons(&program);
    assert!(
        ready.contains("definition_rejected") && ready.contains("sensor-1"),
        "{ready}"
    );

    // A changed file is read again, and a new file is found.
    lab.replace("a.sensors", "sensor-0 °C 1\nsensor-1 K 2\n");
    program.log("configuration applied");
    lab.write("b.sensors", "sensor-2 K 3\n");
    program.log("configuration applied");
    assert!(!reasons(&program).contains("definition_rejected"));

    // An error changes nothing.
    lab.replace("a.sensors", "sensor-0 °C cold\n");
    program.log("it is not a number");
    program.until("the reason in readyz", |program| {
        reasons(program).contains("configuration_rejected").then_some(())
    });
    let before = lab.read("samples").lines().count();
    program.until("further samples", |_| {
        (lab.read("samples").lines().count() >= before + 6).then_some(())
    });
    program.signal(Signal::TERM);
    let samples = lab.read("samples");
    let last: Vec<_> = samples.lines().rev().take(6).collect();
    for name in ["sensor-0.value", "sensor-1.value", "sensor-2.value"] {
        assert!(
            last.iter().any(|sample| sample.contains(name)),
            "{name} is missing: {last:?}"
        );
    }
}

#[tokio::test]
async fn the_family_conforms_with_its_pollsters() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.sensors"), ten()).expect("a file");
    let options = json!({ "folder": folder.path() });
    Conformance::of("sensors").options(options.clone()).check().await;
    let kit = Kit::new("sensors").options(options);
    let outcome = kit.pollster("sensor-4").resources_from("site").poll().await;
    outcome.assert_clean();
    assert_eq!(outcome.text(), "here  sensor-4.value  4.5 °C\n");
}
