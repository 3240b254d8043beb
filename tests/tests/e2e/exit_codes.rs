//! Exit codes: 2 for an invalid configuration or command line, 3 if the program cannot start.

use nephoscope_tests::{Finished, Lab};

/// A valid configuration, into which tests insert errors.
const GOOD: &str = "\
agent:
  namespaces: [synthetic]
  state_dir: $LAB/state
notifier:
  publishers:
    - name: out
      url: \"stdout:\"
plugins:
  synthetic: {latency: 0}
sources:
  - name: s
    interval: 1
    meters: [synthetic.cycle]
    resources: [r1]
";

fn run(config: &str) -> Finished {
    Lab::with(config).nephoscope(&["run"]).finish()
}

#[test]
fn a_bad_configuration_is_2_and_shows_the_place() {
    let cases = [
        ("namespaces: [synthetic]", "namespaces: synthetic", "2:"),
        ("  namespaces:", "  namespace:", "2:3"),
        ("$LAB/state", "$LAB/state\n  shutdown_timeout: soon", "4:21"),
        ("$LAB/state", "$LAB/state\n  admin: somewhere", "4:10"),
        ("\"stdout:\"", "\"stdot:\"", "7:12"),
        ("name: out", "name: out\n      colour: red", "7:7"),
        ("latency: 0", "latency: soon", "9:24"),
        ("latency: 0", "latenzy: 0", "9:15"),
        ("  synthetic: {", "  synthetik: {", "9:3"),
        ("interval: 1", "interval: 0", "12:15"),
        ("meters: [synthetic.cycle]", "meters: synthetic.cycle", "13:13"),
        ("    resources: [r1]", "    resources: [r1", ""),
        ("    resources: [r1]", "\tresources: [r1]", "14:"),
        ("sources:", "sauces:", ""),
        ("interval: 1", "cron: \"every day\"", "12:11"),
        ("interval: 1", "interval: ${env:NEPHOSCOPE_NOT_SET}", "12:15"),
    ];
    for (from, to, place) in cases {
        assert!(GOOD.contains(from), "{from}");
        let finished = run(&GOOD.replacen(from, to, 1)).expect(2);
        let place = format!("polling.yaml{}{place}", if place.is_empty() { "" } else { ":" });
        assert!(finished.stderr.contains(&place), "{to:?}: {place}\n{finished}");
        assert_eq!(finished.stdout, "", "{to:?}");
    }
}

#[test]
fn all_errors_are_reported_together_with_a_fix() {
    let lab = Lab::with(
        &GOOD
            .replace("interval: 1", "interval: 0")
            .replace("name: out", "nmae: out"),
    );
    let finished = lab.nephoscope(&["run"]).finish().expect(2);
    insta::assert_snapshot!(lab.without_place(&finished.stderr));
}

#[test]
fn errors_of_plugins_about_their_options_have_a_location() {
    // Rates that are valid separately but not together, and an invalid path: the plugins detect them, not the schema.
    let lab = Lab::with(
        &GOOD
            .replace("latency: 0", "faults: {hang: 0.6, panic: 0.6}")
            .replace("stdout:", "file://relative"),
    );
    let checked = lab.nephoscope(&["check"]).finish().expect(2);
    insta::assert_snapshot!(lab.without_place(&checked.stderr));
    for arguments in [&["run"] as &[&str], &["once", "--publish"]] {
        let finished = lab.nephoscope(arguments).finish().expect(2);
        assert_eq!(finished.stderr, checked.stderr, "{arguments:?}");
    }
    let finished = lab.nephoscope(&["discover", "synthetic://1"]).finish().expect(2);
    assert!(finished.stderr.contains("polling.yaml:9:15"), "{finished}");
}

#[test]
fn strict_treats_warnings_as_errors() {
    let lab = Lab::with(&GOOD.replace("interval: 1", "interval: 1\n    colour: red"));
    let finished = lab.nephoscope(&["check"]).finish().expect(0);
    assert!(
        finished.stderr.contains("warning") && finished.stderr.contains("polling.yaml:13:5"),
        "{finished}"
    );
    let finished = lab.nephoscope(&["check", "--strict"]).finish().expect(2);
    assert!(finished.stderr.contains("polling.yaml:13:5"), "{finished}");
}

#[test]
fn bad_usage_is_2() {
    let lab = Lab::with(GOOD);
    let cases: [(&[&str], &str); 8] = [
        (&["--colour"], "--colour"),
        (&["walk"], "walk"),
        (&["discover"], "URL"),
        (&["discover", "synthetik://3"], "synthetic"),
        (&["once", "--format", "xml"], "xml"),
        (&["--log-level", "loud"], "loud"),
        (&["--config", "nowhere.yaml"], "nowhere.yaml"),
        (&["completions", "tcsh"], "tcsh"),
    ];
    for (arguments, named) in cases {
        let finished = lab.nephoscope(arguments).finish().expect(2);
        assert!(finished.stderr.contains(named), "{arguments:?}: {finished}");
        assert_eq!(finished.stdout, "", "{arguments:?}");
    }
}

#[test]
fn an_invalid_state_folder_is_3() {
    let lab = Lab::with(GOOD);
    lab.write("state", "a file");
    let finished = lab.nephoscope(&["run"]).finish().expect(3);
    assert!(finished.stderr.contains("agent.state_dir"), "{finished}");
    assert_eq!(lab.read("state"), "a file");
}

#[test]
fn an_invalid_admin_socket_is_3() {
    let lab = Lab::with(&GOOD.replace("$LAB/state", "$LAB/state\n  admin: unix:$LAB/folder"));
    std::fs::create_dir(lab.path("folder")).unwrap();
    let finished = lab.nephoscope(&["run"]).finish().expect(3);
    assert!(
        finished.stderr.contains(lab.path("folder").to_str().unwrap()),
        "{finished}"
    );
    // A name of the reserved top-level domain, which never resolves.
    let lab = Lab::with(&GOOD.replace("$LAB/state", "$LAB/state\n  admin: tcp:nowhere.invalid:80"));
    let finished = lab.nephoscope(&["run"]).finish().expect(3);
    assert!(finished.stderr.contains("nowhere.invalid:80"), "{finished}");
}

#[test]
fn a_second_process_on_the_same_state_is_3_and_names_the_holder() {
    let lab = Lab::with(GOOD);
    let mut first = lab.run();
    first.ready();
    let second = lab.nephoscope(&["run"]).finish().expect(3);
    assert!(
        second.stderr.contains(&first.id().to_string()),
        "{}: {second}",
        first.id()
    );
    assert!(second.stderr.contains("agent.state_dir"), "{second}");
    // The first one is not affected: its socket exists, and it polls.
    assert_eq!(first.get("/readyz").status, 200);
    first.cycles(2);
    let _ = first.stop().expect(0);
}
