//! Puts a canary wherever a secret can be, and searches all output of the program for it.

use std::fs;
use std::path::Path;

use nephoscope_tests::{Finished, Lab};

/// The canary. The number after it identifies its place.
const CANARY: &str = "canary-9f3b7";

fn assert_silent(what: &str, text: &str) {
    let place = text
        .find(CANARY)
        .map(|place| &text[place.saturating_sub(60)..text.len().min(place + 60)]);
    assert_eq!(place, None, "the canary is in {what}");
}

fn assert_finished_silent(what: &str, finished: &Finished) {
    assert_silent(&format!("{what}: standard output"), &finished.stdout);
    assert_silent(&format!("{what}: standard error"), &finished.stderr);
}

/// Checks the names and contents of all files.
fn assert_folder_silent(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_silent("the name of a file", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            assert_folder_silent(&path);
        } else if path.is_file() {
            assert_silent(
                &path.display().to_string(),
                &String::from_utf8_lossy(&fs::read(&path).unwrap()),
            );
        }
    }
}

/// User information in every kind of URL: of a listing, and of resources that fail or not; literal, from the environment and
/// from a file.
fn lab() -> Lab {
    let lab = Lab::with(
        "agent: {namespaces: [synthetic], id: test, state_dir: $LAB/state}\n\
         notifier: {publishers: [{name: file, url: \"file://$LAB/samples\"}]}\n\
         sources:\n\
         \x20 - {name: good, interval: 1, meters: [synthetic.cycle], resources: [r1]}\n\
         \x20 - {name: one, interval: 1, meters: [synthetic.faulty], resources: [\"permanent.snmp://user:canary-9f3b7-1@place\"]}\n\
         \x20 - {name: two, interval: 1, meters: [synthetic.faulty], resources: [\"transient.snmp://user:${env:CANARY}@place\"]}\n\
         \x20 - {name: three, interval: 1, meters: [synthetic.faulty], resources: [\"undeclared_meter.http://${file:$LAB/secret}@place\"]}\n\
         \x20 - {name: four, interval: 1, meters: [synthetic.faulty], discovery: [\"synthetic://user:canary-9f3b7-4@place\"]}\n\
         \x20 - {name: five, interval: 1, meters: [synthetic.faulty], discovery: [\"nowhere://user:canary-9f3b7-5@place\"]}\n",
    );
    lab.write("secret", "canary-9f3b7-file\n");
    lab
}

#[test]
fn a_running_program_shows_no_secret() {
    let lab = lab();
    let launch = |arguments: &[&str]| lab.nephoscope(arguments).env("CANARY", "canary-9f3b7-env");
    for format in ["text", "json"] {
        let mut program = launch(&["run", "--log-level", "trace", "--log-format", format]).start();
        program.ready();
        program.cycles(2);
        let paths = [
            "/metrics",
            "/readyz",
            "/api/v1/tasks",
            "/api/v1/cycles",
            "/api/v1/resources",
            "/api/v1/publishers",
            "/x",
        ];
        for path in paths {
            assert_silent(path, &program.get(path).body);
        }
        assert!(
            program.get("/api/v1/resources").body.contains("***@place"),
            "the rest of the URL is shown"
        );
        // Two reloads, with errors next to the secrets.
        let good = lab.read("polling.yaml");
        lab.config(&good.replace("name: three", "name: three, timeout: no"));
        program.log("the configuration is rejected");
        lab.config(&good.replace("canary-9f3b7-1", "canary-9f3b7-6"));
        program.log("configuration applied");
        lab.config(&good);
        program.log("configuration applied");
        assert_finished_silent(format, &program.stop().expect(0));
    }
    assert_folder_silent(&lab.path("state"));
    let mut program = launch(&["run"]).start_in_terminal();
    program.line("Ctrl-C stops");
    program.line(" failures");
    let finished = program.stop().expect(0);
    assert_finished_silent("a terminal", &finished);
    assert!(finished.stdout.contains("***@place"), "{finished}");
    for command in [
        &["check"] as &[&str],
        &["check", "--format", "table"],
        &["discover", "synthetic://u:canary-9f3b7@p"],
    ] {
        assert_finished_silent(&command.join(" "), &launch(command).finish());
    }
    // Samples may contain it; messages may not.
    assert_silent(
        "once: standard error",
        &launch(&["once"]).finish().expect(1).stderr,
    );
}

/// Publishers with user information, which no publisher of the stock program accepts: the error must not show it.
const PUBLISHERS: &str = "\
agent: {namespaces: [synthetic], id: test, state_dir: $LAB/state}
notifier:
  publishers:
    - {name: one, url: \"discard://user:canary-9f3b7-url@place/\"}
    - {name: two, url: \"discard://user:${env:CANARY}@place/\"}
    - {name: three, url: \"discard://user:${file:$LAB/secret}@place/\"}
sources:
  - {name: s, interval: 1, meters: [synthetic.cycle], resources: [r1]}
";

#[test]
fn errors_show_no_secret() {
    let cases = [
        ("", ""),
        // Next to a secret, in the same line, before and after it.
        ("name: one,", "name: one, nonsense: 1,"),
        ("name: two,", "name: two/2, queue: 0,"),
        (
            "place/\"}\n    - {name: two",
            "place/\", queue: none}\n    - {name: two",
        ),
        // The line of the secret has a syntax error.
        ("place/\"}\n    - {name: two", "place/}\n    - {name: two"),
        ("-url@place/\"}", "-url@place/\"}}"),
        ("    - {name: one", "\t- {name: one"),
        // An unknown scheme, and invalid paths.
        ("discard://user:canary", "nowhere://user:canary"),
        ("discard://user:canary", "stdout://user:canary"),
        ("discard://user:canary", "file://user:canary"),
        ("${env:CANARY}", "${env:CANARY"),
        ("${env:CANARY}", "${env:CANARY} ${env:NOT_SET}"),
        // Misspelt keys, and keys in the wrong section.
        ("{name: one, url:", "{name: one, password: canary-9f3b7, url:"),
        ("id: test,", "id: test, password: canary-9f3b7,"),
        (
            "notifier:\n",
            "plugins: {synthetic: {token: canary-9f3b7}}\nnotifier:\n",
        ),
        (
            "notifier:\n",
            "plugins: {none: {secret: [canary-9f3b7]}}\nnotifier:\n",
        ),
        (
            "notifier:\n",
            "coordination: {password: canary-9f3b7}\nnotifier:\n",
        ),
        ("notifier:\n", "notifier:\n  signing_secret: canary-9f3b7\n"),
    ];
    let lab = Lab::new();
    lab.write("secret", "canary-9f3b7-file\n");
    for (from, to) in cases {
        assert!(PUBLISHERS.contains(from), "{from:?} is missing");
        lab.config(&PUBLISHERS.replacen(from, to, 1));
        for command in ["run", "check"] {
            let launch = lab
                .nephoscope(&[command, "--log-level", "trace"])
                .env("CANARY", "canary-9f3b7-env");
            assert_finished_silent(&format!("{command} with {to:?}"), &launch.finish().expect(2));
        }
    }
}

#[test]
fn placeholders_of_secrets_are_replaced() {
    // Without expansion the canary test would pass too.
    let lab = Lab::with(
        "agent: {namespaces: [synthetic], id: test, state_dir: $LAB/state}\n\
         notifier: {publishers: [{name: file, url: \"file://$LAB/${file:$LAB/name}-${env:PART}\"}]}\n\
         sources: [{name: s, interval: 1, meters: [synthetic.cycle], resources: [r1]}]\n",
    );
    lab.write("name", "from-file\n");
    let launch = lab
        .nephoscope(&["run", "--log-level", "debug"])
        .env("PART", "from-env");
    let mut program = launch.start();
    program.cycles(1);
    let _ = program.stop().expect(0);
    assert!(!lab.read("from-file-from-env").is_empty());
}
