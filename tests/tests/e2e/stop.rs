//! The stop of the program: all samples handed over are delivered within the timeout.

use std::collections::BTreeMap;

use nephoscope_tests::{Lab, Program, Signal, samples};

use crate::cycles::{cycles, long_cycle};

const RESOURCES: usize = 2000;

fn busy(timeout: &str) -> Lab {
    Lab::with(&format!(
        "agent: {{namespaces: [synthetic], id: test, state_dir: $LAB/state, shutdown_timeout: {timeout}}}\n\
         notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}]}}\n\
         plugins: {{synthetic: {{latency: 100ms}}}}\n\
         sources: [{{name: busy, interval: 1, meters: [synthetic.cycle], discovery: [\"synthetic://{RESOURCES}\"]}}]\n"
    ))
}

/// Waits until a running cycle has handed over some of its samples, but not all.
fn in_flight(program: &mut Program, lab: &Lab) {
    program.cycles(1);
    let path = lab.path("samples");
    program.until("samples in the file", |_| {
        std::fs::metadata(&path)
            .ok()
            .filter(|found| found.len() > 0)
            .map(drop)
    });
}

fn graceful(signal: Signal) {
    let lab = busy("30s");
    let mut program = lab.run();
    in_flight(&mut program, &lab);
    program.signal(signal);
    let finished = program.finish().expect(0);
    assert!(
        finished.stderr.contains("stopped dropped_samples=0"),
        "{finished}"
    );
    // No line is truncated (reading them asserts it), and each started cycle is complete.
    let samples = samples(&lab.read("samples"));
    let mut sizes: BTreeMap<i64, usize> = BTreeMap::new();
    cycles(&samples)
        .values()
        .flatten()
        .for_each(|cycle| *sizes.entry(*cycle).or_default() += 1);
    assert!(
        !sizes.is_empty() && sizes.values().all(|size| *size == RESOURCES),
        "{sizes:?}"
    );
}

#[test]
fn sigterm_finishes_running_cycles() {
    graceful(Signal::TERM);
}

#[test]
fn sigint_finishes_running_cycles() {
    graceful(Signal::INT);
}

/// An agent with a poll that never ends.
fn hung(timeout: &str) -> (Lab, Program) {
    let lab = Lab::with(&format!(
        "agent: {{namespaces: [synthetic], id: test, state_dir: $LAB/state, shutdown_timeout: {timeout}}}\n\
         notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}]}}\n\
         sources:\n{}",
        long_cycle(
            "hung",
            "timeout: 1h, meters: [synthetic.faulty], resources: [none, hang]"
        )
    ));
    let mut program = lab.run();
    program.ready();
    let path = lab.path("socket-is-ready");
    drop(path);
    program.until("a cycle that runs", |program| {
        (program.json("/api/v1/tasks")["tasks"][0]["running"] == true).then_some(())
    });
    (lab, program)
}

#[test]
fn a_hung_poll_is_ended_within_the_shutdown_timeout() {
    let (lab, program) = hung("1s");
    let _ = program.stop().expect(0);
    // The samples that the poll reported before are delivered.
    assert_eq!(samples(&lab.read("samples")).len(), 1);
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let (_lab, mut program) = hung("1h");
        program.signal(Signal::TERM);
        program.log("stopping");
        program.signal(signal);
        let finished = program.finish().expect(code);
        assert!(
            finished.stderr.contains("second signal: terminated"),
            "{finished}"
        );
    }
}

#[test]
fn it_reports_that_it_is_stopping() {
    let (_lab, mut program) = hung("1h");
    program.signal(Signal::TERM);
    program.log("stopping");
    let ready = program.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(ready.body.contains("stopping"), "{}", ready.body);
    let _ = program.kill();
}

#[test]
fn it_leaves_no_socket_behind() {
    let lab = busy("30s");
    let mut program = lab.run();
    program.ready();
    let socket = program.admin().to_owned();
    assert!(socket.exists());
    let _ = program.stop().expect(0);
    assert!(!socket.exists());
    // A socket of a crashed process is replaced.
    let mut program = lab.run();
    program.ready();
    let _ = program.kill();
    assert!(socket.exists());
    let mut program = lab.run();
    program.ready();
    let _ = program.stop().expect(0);
}
