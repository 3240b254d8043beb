//! The first minute of a new user: the repository's file, no file, a terminal, a pipe.

use std::os::unix::fs::chown;

use nephoscope_tests::{Lab, Program, program_path, repository};

/// Replaces a section of the repository's file: root's state would be outside of the lab.
const OWN: &str = "agent: {namespaces: [host], state_dir: $LAB/state}\n";

fn with_the_repositorys_file() -> (Lab, String) {
    let lab = Lab::new();
    lab.write("own.yaml", OWN);
    let file = repository().join("polling.yaml").to_str().unwrap().to_owned();
    (lab, file)
}

#[test]
fn the_repositorys_file_samples_this_machine() {
    let (lab, file) = with_the_repositorys_file();
    let mut program = lab
        .nephoscope(&["--config", &file, "--config", "own.yaml"])
        .start();
    for meter in [
        "hardware.cpu.load.1min",
        "hardware.memory.total",
        "hardware.disk.size.total",
    ] {
        let sample = program.until(meter, |program| {
            let text = program.stdout();
            text.lines()
                .filter_map(nephoscope_tests::Sample::parse)
                .find(|sample| sample.meter() == meter)
        });
        assert!(
            sample.volume() >= 0.0 && sample.resource().starts_with(&host()),
            "{sample:?}"
        );
    }
    let _ = program.stop().expect(0);
}

#[test]
fn the_repositorys_file_has_no_warning() {
    let (lab, file) = with_the_repositorys_file();
    let finished = lab
        .nephoscope(&["check", "--strict", "--config", &file])
        .finish()
        .expect(0);
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_terminal_shows_the_tasks_and_a_line_for_each_cycle() {
    let (lab, file) = with_the_repositorys_file();
    let program = lab
        .nephoscope(&["--config", &file, "--config", "own.yaml"])
        .start_in_terminal();
    shows_this_machine(program);
}

/// The task, then samples as text, then the cycle; Ctrl-C ends the program without an error.
fn shows_this_machine(mut program: Program) {
    let task = program.line("this machine");
    assert!(
        task.contains("every 10s") && task.contains("pollsters") && task.contains(&host()),
        "{task}"
    );
    program.line("Ctrl-C stops");
    // One line per sample and one per cycle, in any order.
    program.until("a cycle in one line", |program| {
        let text = program.stdout();
        let cycle = text
            .lines()
            .find(|line| line.contains(" resource") && line.contains(" failures"))?;
        assert!(
            cycle.contains("every 10s") && cycle.contains(" samples") && cycle.contains(" ms"),
            "{cycle}"
        );
        Some(())
    });
    program.until("samples as lines for people", |program| {
        let text = program.stdout();
        let line = text.lines().find(|line| line.contains("hardware.memory.total"))?;
        assert!(line.contains("KB") && !line.contains('{'), "{line}");
        Some(())
    });
    program.signal(nephoscope_tests::Signal::INT);
    let _ = program.finish().expect(0);
}

#[test]
fn without_a_file_a_terminal_uses_the_built_in_file() {
    let lab = Lab::new();
    let launch = lab.nephoscope(&[]);
    let launch = if rustix::process::geteuid().is_root() {
        // Root's state would be outside of the lab.
        let copy = lab.path("nephoscope");
        std::fs::copy(program_path(), &copy).unwrap();
        chown(lab.folder(), Some(NOBODY), Some(NOBODY)).unwrap();
        launch.copy_at(&copy).user(NOBODY)
    } else {
        launch
    };
    let mut program = launch.start_in_terminal();
    program.line("no configuration found: polling this machine with the built-in polling.yaml");
    shows_this_machine(program);
    assert!(
        lab.path("xdg-state/nephoscope/agent.lock").is_file(),
        "state is kept in the user's folder"
    );
}

/// A user without files.
const NOBODY: u32 = 65534;

#[test]
fn without_a_file_a_pipe_gets_an_error_with_the_searched_paths() {
    let lab = Lab::new();
    for command in ["run", "once", "check"] {
        let finished = lab.nephoscope(&[command]).finish().expect(2);
        for place in ["polling.yaml", "/etc/nephoscope", "/etc/ceilometer/polling.yaml"] {
            assert!(finished.stderr.contains(place), "{command}: {place}: {finished}");
        }
        assert_eq!(finished.stdout, "", "{command}");
    }
}

#[test]
fn without_a_publisher_a_terminal_shows_samples_and_a_pipe_gets_an_error_with_the_key() {
    let lab = Lab::with(
        "agent: {namespaces: [synthetic], state_dir: $LAB/state}\n\
         sources: [{name: s, interval: 1, meters: [synthetic.cycle], resources: [r1]}]\n",
    );
    let finished = lab.nephoscope(&["run"]).finish().expect(2);
    assert!(finished.stderr.contains("notifier.publishers"), "{finished}");
    let mut program = lab.nephoscope(&["run"]).start_in_terminal();
    program.until("samples", |program| {
        program.stdout().contains("synthetic.cycle  r1").then_some(())
    });
    let _ = program.stop().expect(0);
}

#[test]
fn polling_yaml_in_the_working_folder_is_found() {
    let lab = Lab::with(
        "agent: {namespaces: [synthetic], state_dir: $LAB/state}\n\
         notifier: {publishers: [{name: out, url: \"stdout:\"}]}\n\
         sources: [{name: s, interval: 1, meters: [synthetic.cycle], resources: [r1]}]\n",
    );
    let mut program = lab.nephoscope(&[]).start();
    program.sample("of r1", |sample| sample.resource() == "r1");
    let _ = program.stop().expect(0);
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
