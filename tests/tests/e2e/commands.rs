//! The commands that print something and end.

use nephoscope_tests::{Lab, repository};
use serde_json::Value;

const CONFIG: &str = "\
agent: {namespaces: [synthetic], id: test, state_dir: $LAB/state}
notifier: {publishers: [{name: out, url: \"stdout:\"}]}
sources:
  - {name: many, interval: 5m, meters: [synthetic.cycle, \"synthetic.c*\"], discovery: [\"synthetic://1000\"]}
  - {name: few, interval: 300, meters: [synthetic.wave], resources: [r1, r2]}
  - {name: nightly, cron: \"0 0 3 * * *\", time_zone: Europe/Prague, meters: [synthetic.faulty], resources: [none]}
  - {name: default, interval: 60, meters: [synthetic.cycle]}
";

#[test]
fn check_prints_the_plan_for_people() {
    let lab = Lab::with(CONFIG);
    let finished = lab.nephoscope(&["check", "--format", "table"]).finish().expect(0);
    assert_eq!(finished.stderr, "");
    insta::assert_snapshot!(finished.stdout);
}

#[test]
fn check_prints_the_plan_for_programs() {
    let lab = Lab::with(CONFIG);
    let finished = lab.nephoscope(&["check", "--format", "json"]).finish().expect(0);
    for line in finished.stdout.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{line}");
    }
    insta::assert_snapshot!(finished.stdout);
    assert!(!lab.path("state").exists(), "it writes nothing");
}

#[test]
fn check_reports_what_will_not_be_polled() {
    let lab = Lab::with(
        &CONFIG
            .replace("synthetic.wave], resources", "synthetic.waves], resources")
            .replace("synthetic://1000", "synthetik://1000"),
    );
    let finished = lab.nephoscope(&["check"]).finish().expect(0);
    insta::assert_snapshot!(lab.without_place(&finished.stderr));
}

#[test]
fn namespaces_of_the_command_line_win() {
    let lab =
        Lab::with("agent: {namespaces: [host]}\nsources: [{name: all, interval: 10, meters: [\"*\"]}]\n");
    for option in ["--namespaces", "--polling-namespaces"] {
        let finished = lab
            .nephoscope(&["check", option, "synthetic", "--format", "json"])
            .finish()
            .expect(0);
        assert!(
            finished.stdout.contains("synthetic.cycle") && !finished.stdout.contains("hardware."),
            "{finished}"
        );
        let finished = lab
            .nephoscope(&["check", option, "synthetic", "host", "--format", "json"])
            .finish()
            .expect(0);
        assert!(
            finished.stdout.contains("synthetic.cycle") && finished.stdout.contains("hardware."),
            "{finished}"
        );
    }
}

#[test]
fn discover_prints_the_resources() {
    let lab = Lab::new();
    let finished = lab
        .nephoscope(&["discover", "synthetic://3", "--format", "json"])
        .finish()
        .expect(0);
    let keys: Vec<Value> = finished
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone())
        .collect();
    assert_eq!(keys, ["synthetic-000000", "synthetic-000001", "synthetic-000002"]);
    let finished = lab
        .nephoscope(&["discover", "host", "--format", "table"])
        .finish()
        .expect(0);
    assert!(finished.stdout.starts_with("KEY"), "{finished}");
}

#[test]
fn discover_fails_when_the_discovery_fails() {
    let lab = Lab::new();
    for (fault, expected) in [
        ("error", "transient"),
        ("panic", "panicked"),
        ("hang", "no result within"),
    ] {
        let url = format!("synthetic-faulty://{fault}");
        let finished = lab
            .nephoscope(&["discover", &url, "--timeout", "1s", "--format", "json"])
            .finish()
            .expect(1);
        assert!(finished.stderr.contains(expected), "{fault}: {finished}");
        assert_eq!(
            finished.stdout.lines().count(),
            3,
            "resources listed before the failure are printed: {fault}: {finished}"
        );
    }
}

#[test]
fn plugins_lists_everything_of_the_stock_program() {
    let lab = Lab::new();
    let people = lab
        .nephoscope(&["plugins", "--format", "table"])
        .finish()
        .expect(0)
        .stdout;
    let programs = lab
        .nephoscope(&["plugins", "--format", "json"])
        .finish()
        .expect(0)
        .stdout;
    for name in [
        "hardware.cpu.util",
        "hardware.memory.total",
        "synthetic.cycle",
        "synthetic-faulty",
        "stdout",
        "file",
        "discard",
    ] {
        assert!(people.contains(name), "{name}");
        assert!(programs.contains(name), "{name}");
    }
    for line in programs.lines() {
        let plugin: Value = serde_json::from_str(line).unwrap();
        assert!(
            plugin["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{line}"
        );
    }
}

#[test]
fn the_schema_knows_every_key_of_the_repositorys_file() {
    let lab = Lab::new();
    let schema: Value = serde_json::from_str(&lab.nephoscope(&["schema"]).finish().expect(0).stdout).unwrap();
    assert!(
        schema["$schema"]
            .as_str()
            .unwrap()
            .starts_with("https://json-schema.org/"),
        "{schema}"
    );
    let text = std::fs::read_to_string(repository().join("polling.yaml")).unwrap();
    let place = |value: &'_ Value| -> Value {
        match value["$ref"].as_str() {
            Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap().clone(),
            None => value.clone(),
        }
    };
    // Keys by indentation, which is enough for this file.
    let mut section = Value::Null;
    let mut keys = 0;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let Some((key, _)) = line.split_once(':') else {
            continue;
        };
        let name = key.trim_start_matches([' ', '-']);
        let depth = key.len() - name.len();
        match depth {
            0 => section = place(&schema["properties"][name]),
            2 => assert!(!section["properties"][name].is_null(), "{line}"),
            4 if section["type"] == "array" => {
                let item = place(&section["items"]);
                assert!(!item["properties"][name].is_null(), "{line}");
            }
            _ => continue,
        }
        assert!(!section.is_null(), "{line}");
        keys += 1;
    }
    assert!(keys >= 7, "{keys} keys were found in\n{text}");
    // The options of plugins are included.
    assert!(!schema.pointer("/properties/plugins").unwrap().is_null());
    assert!(schema.to_string().contains("samples_per_resource"));
}

#[test]
fn completions_and_the_manual_name_the_commands() {
    let lab = Lab::new();
    for arguments in [
        &["completions", "bash"] as &[&str],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["man"],
    ] {
        let finished = lab.nephoscope(arguments).finish().expect(0);
        for command in ["run", "once", "check", "plugins", "discover", "schema"] {
            assert!(finished.stdout.contains(command), "{arguments:?}: {command}");
        }
        assert_eq!(finished.stderr, "");
    }
}

#[test]
fn help_and_version_are_printed() {
    let lab = Lab::new();
    let finished = lab.nephoscope(&["--help"]).finish().expect(0);
    assert!(finished.stdout.contains("Exit codes"), "{finished}");
    let finished = lab.nephoscope(&["--version"]).finish().expect(0);
    assert!(finished.stdout.starts_with("nephoscope "), "{finished}");
}
