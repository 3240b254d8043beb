//! Agents with a disabled safety rule: the oracle must find the violations.

use std::thread;

use nephoscope_tests::chaos::{Draw, Kind, Scene, Setting};
use nephoscope_tests::oracle;

/// Polls take a while, so that a fault right after an edge hits them in progress, and an agent that was paused for three
/// leases resumes before the next edge.
const SETTING: Setting = Setting {
    agents: 3,
    resources: 40,
    side: 10,
    interval: 8,
    lease: 2,
    pauses: false,
    nodes: 1,
    without: None,
};

/// Injects a fault into agents without a rule, and asserts that the oracle finds the violation that the rule prevents.
fn without(rule: &'static str, kind: Kind, found: oracle::Kind) {
    let setting = Setting {
        without: Some(rule),
        ..SETTING
    };
    let mut scene = Scene::begin(setting);
    let mut draw = Draw::new(1);
    scene.after_an_edge(0.2);
    scene.inject(kind, &mut draw);
    let report = scene.end();
    let counts = report.verdict.counts();
    assert!(
        counts.contains_key(&found),
        "without {rule}: {found:?} is not among {counts:?}\n{}",
        report.details()
    );
}

#[test]
fn the_oracle_detects_each_disabled_safety_rule() {
    let rules = [
        ("takeover", Kind::Kill, oracle::Kind::Missing),
        ("fence", Kind::Pause, oracle::Kind::AfterFence),
        ("units", Kind::RollingReload, oracle::Kind::Missing),
        ("monotonic_plans", Kind::Slow, oracle::Kind::PlanChanged),
        ("new_incarnation", Kind::Pause, oracle::Kind::IncarnationReused),
    ];
    thread::scope(|scope| {
        let playing = rules.map(|(rule, kind, found)| scope.spawn(move || without(rule, kind, found)));
        for scene in playing {
            scene.join().unwrap();
        }
    });
}
