//! The compute namespace on a machine that is no compute host.

use std::fs;

use nephoscope_tests::Lab;

/// The default namespaces have no meters here, so this machine's own show that the agent runs.
const CONFIG: &str = "
agent: {namespaces: [compute, central, host], state_dir: $LAB/state}
notifier: {publishers: [{name: out, url: 'stdout:'}]}
sources:
  - {name: all, interval: 1, meters: ['*']}
";

#[test]
fn without_libvirt_the_agent_says_so_in_one_line_and_measures_the_rest() {
    let lab = Lab::with(CONFIG);
    // The loader finds this before any other, and it is no library.
    let folder = lab.path("libraries");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("libvirt.so.0"), "no library").unwrap();
    let launch = lab.nephoscope(&["run", "--log-level", "debug"]);
    let mut program = launch.env("LD_LIBRARY_PATH", &folder).start();
    program.sample("this machine", |sample| sample.meter() == "hardware.memory.total");
    program.cycles(2);
    let reasons = program.json("/readyz").to_string();
    assert!(reasons.contains("there is no libvirt"), "{reasons}");
    let finished = program.stop().expect(0);
    let lines: Vec<_> = finished
        .stderr
        .lines()
        .filter(|line| line.contains("libvirt"))
        .collect();
    assert_eq!(lines.len(), 1, "{finished}");
    assert!(
        lines[0].contains(" INFO ") && lines[0].contains("there is no libvirt"),
        "{}",
        lines[0]
    );
}
