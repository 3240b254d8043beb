//! Notifications to the service manager.

use nephoscope_tests::{Lab, Manager, Signal};

const CONFIG: &str = "\
agent: {namespaces: [synthetic], id: test, state_dir: $LAB/state, watch: false}
notifier: {publishers: [{name: none, url: \"discard:\"}]}
sources: [{name: s, interval: 1, meters: [synthetic.cycle], resources: [r1]}]
";

#[test]
fn ready_reloading_and_stopping_are_notified() {
    let lab = Lab::with(CONFIG);
    let manager = Manager::listen(lab.path("notify"));
    let program = lab
        .nephoscope(&["run"])
        .env("NOTIFY_SOCKET", manager.path())
        .start();
    let lines = manager.wait_for("READY=1");
    assert!(lines.iter().any(|line| line.starts_with("STATUS=")), "{lines:?}");
    // When it reports that it is ready, the admin API answers and the agent polls.
    assert_eq!(program.get("/readyz").status, 200);
    program.signal(Signal::HUP);
    let lines = manager.wait_for("RELOADING=1");
    assert!(
        lines.iter().any(|line| line.starts_with("MONOTONIC_USEC=")),
        "{lines:?}"
    );
    manager.wait_for("READY=1");
    // An invalid file ends the reload too.
    lab.config("sources: 5\n");
    program.signal(Signal::HUP);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    program.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    let _ = program.finish().expect(0);
}

#[test]
fn the_watchdog_is_notified_while_the_scheduler_runs() {
    let lab = Lab::with(CONFIG);
    let manager = Manager::listen(lab.path("notify"));
    let launch = lab
        .nephoscope(&["run"])
        .env("NOTIFY_SOCKET", manager.path())
        .env("WATCHDOG_USEC", "1000000");
    let program = launch.start();
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    let _ = program.stop().expect(0);
}

#[test]
fn without_a_watchdog_no_notification_is_sent() {
    let lab = Lab::with(CONFIG);
    let manager = Manager::listen(lab.path("notify"));
    let program = lab
        .nephoscope(&["run", "--log-level", "debug"])
        .env("NOTIFY_SOCKET", manager.path());
    let mut program = program.start();
    program.cycles(2);
    program.signal(Signal::TERM);
    let lines = manager.wait_for("STOPPING=1");
    assert!(!lines.iter().any(|line| line == "WATCHDOG=1"), "{lines:?}");
    let _ = program.finish().expect(0);
}

#[test]
fn a_program_that_cannot_start_never_reports_that_it_is_ready() {
    let lab = Lab::with(CONFIG);
    lab.write("state", "a file");
    let manager = Manager::listen(lab.path("notify"));
    let launch = lab.nephoscope(&["run"]).env("NOTIFY_SOCKET", manager.path());
    let _ = launch.finish().expect(3);
    // A message of the test ends the wait: it follows all messages of the program.
    let sender = std::os::unix::net::UnixDatagram::unbound().unwrap();
    sender.send_to(b"END=1", manager.path()).unwrap();
    assert_eq!(manager.wait_for("END=1"), ["END=1"]);
}
