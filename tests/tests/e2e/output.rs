//! Publishers with failing destinations: closed and full output, removed folders, rotated files.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use nephoscope_tests::{Lab, samples_in};

use crate::cycles::without_gap;

fn lab(publishers: &str) -> Lab {
    Lab::with(&format!(
        "agent: {{namespaces: [synthetic], id: test, state_dir: $LAB/state, shutdown_timeout: 5s}}\n\
         notifier: {{publishers: [{publishers}]}}\n\
         sources: [{{name: s, interval: 1, meters: [synthetic.cycle], resources: [r1]}}]\n"
    ))
}

const FILE: &str = "{name: file, url: \"file://$LAB/out/samples\"}";

/// A pipe whose reader closes after the first line.
fn head(launch: nephoscope_tests::Launch) -> nephoscope_tests::Finished {
    let (reader, writer) = pipe().unwrap();
    let program = launch.stdout(File::from(OwnedFd::from(writer))).start();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(!line.is_empty());
    drop(reader);
    program.finish()
}

#[test]
fn a_closed_pipe_ends_every_command_quietly() {
    let lab = Lab::with(
        "agent: {namespaces: [synthetic], state_dir: $LAB/state}\n\
         sources: [{name: s, interval: 10, meters: [\"*\"], discovery: [\"synthetic://20000\"]}]\n",
    );
    let commands: [&[&str]; 4] = [
        &["once", "--format", "json"],
        &["discover", "synthetic://200000"],
        &["schema"],
        &["plugins", "--format", "json"],
    ];
    for command in commands {
        let finished = head(lab.nephoscope(command)).expect(0);
        assert_eq!(finished.stderr, "", "{command:?}");
    }
}

#[test]
fn run_ends_when_standard_output_is_closed() {
    let lab = lab("{name: out, url: \"stdout:\"}");
    let finished = head(lab.nephoscope(&["run"])).expect(0);
    assert!(
        finished.stderr.contains("standard output was closed"),
        "{finished}"
    );
}

#[test]
fn run_continues_with_a_closed_output_that_it_does_not_use() {
    let lab = lab(FILE);
    fs::create_dir(lab.path("out")).unwrap();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut program = lab
        .nephoscope(&["run", "--log-level", "debug"])
        .stdout(File::from(OwnedFd::from(writer)))
        .start();
    program.cycles(2);
    let _ = program.stop().expect(0);
}

#[test]
fn full_output_is_an_error_of_once() {
    let lab = lab(FILE);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let finished = lab
        .nephoscope(&["once", "--format", "json"])
        .stdout(full)
        .finish();
    assert_eq!(finished.code(), 3, "{finished}");
    assert!(
        finished.stderr.contains("standard output") && finished.stderr.contains("No space left"),
        "{finished}"
    );
}

#[test]
fn full_output_is_retried_by_run_without_affecting_other_publishers() {
    let lab = lab(&format!("{{name: out, url: \"stdout:\"}}, {FILE}"));
    fs::create_dir(lab.path("out")).unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut program = lab
        .nephoscope(&["run", "--log-level", "debug"])
        .stdout(full)
        .start();
    program.log("cannot deliver: samples stay queued and are retried");
    let publishers = program.json("/api/v1/publishers");
    let out = publishers["publishers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|publisher| publisher["name"] == "out")
        .unwrap();
    assert_eq!(out["state"], "retrying", "{out}");
    assert!(out["error"].as_str().unwrap().contains("No space left"), "{out}");
    let path = lab.path("out/samples");
    program.until("samples in the file", |_| {
        (without_gap(&samples_in(&path), "r1").len() >= 3).then_some(())
    });
    let ready = program.get("/readyz");
    assert_eq!(ready.status, 200, "one of two publishers works");
    assert!(ready.body.contains("publisher_retrying"), "{}", ready.body);
    let _ = program.stop();
}

#[test]
fn samples_wait_for_a_removed_folder() {
    let lab = lab(FILE);
    fs::create_dir(lab.path("out")).unwrap();
    let path = lab.path("out/samples");
    let mut program = lab.run();
    program.until("samples in the file", |_| {
        (!samples_in(&path).is_empty()).then_some(())
    });
    fs::rename(lab.path("out"), lab.path("gone")).unwrap();
    program.log("cannot deliver: samples stay queued and are retried");
    program.cycles(2);
    fs::create_dir(lab.path("out")).unwrap();
    program.log("delivery resumed");
    program.cycles(1);
    let _ = program.stop().expect(0);
    let mut samples = samples_in(&lab.path("gone/samples"));
    let old = without_gap(&samples, "r1").len();
    samples.extend(samples_in(&path));
    assert!(without_gap(&samples, "r1").len() >= old + 3);
}

#[test]
fn nothing_is_lost_when_the_file_is_rotated() {
    let lab = lab(FILE);
    fs::create_dir(lab.path("out")).unwrap();
    let path = lab.path("out/samples");
    let mut program = lab.run();
    for rotation in 0..2 {
        program.until("samples in the file", |_| {
            (!samples_in(&path).is_empty()).then_some(())
        });
        fs::rename(&path, lab.path(&format!("out/samples.{rotation}"))).unwrap();
    }
    program.until("samples in the file", |_| {
        (samples_in(&path).len() >= 2).then_some(())
    });
    let _ = program.stop().expect(0);
    let names = ["out/samples.0", "out/samples.1", "out/samples"];
    let parts = names.map(|name| samples_in(&lab.path(name)));
    assert!(parts.iter().all(|part| !part.is_empty()));
    assert!(without_gap(&parts.concat(), "r1").len() >= 4);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_link_in_place_of_the_file_is_not_followed() {
    let lab = lab(FILE);
    fs::create_dir(lab.path("out")).unwrap();
    lab.write("precious", "keep");
    std::os::unix::fs::symlink(lab.path("precious"), lab.path("out/samples")).unwrap();
    let mut program = lab.run();
    let line = program.log("cannot deliver");
    assert!(line.contains("symbolic link"), "{line}");
    let _ = program.stop();
    assert_eq!(lab.read("precious"), "keep");
}

#[test]
fn publishers_of_all_samples_receive_the_same_samples() {
    let lab = lab(
        "{name: a, url: \"file://$LAB/a\"}, {name: b, url: \"file://$LAB/b\"}, {name: none, url: \"discard:\"}",
    );
    let mut program = lab.run();
    program.cycles(3);
    let _ = program.stop().expect(0);
    assert_eq!(samples_in(&lab.path("a")), samples_in(&lab.path("b")));
    assert!(without_gap(&samples_in(&lab.path("a")), "r1").len() >= 2);
}
