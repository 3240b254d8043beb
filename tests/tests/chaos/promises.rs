//! The guarantees, with one scene for several situations.

use std::thread;

use nephoscope_tests::chaos::{Draw, Kind, Report, Scene, Setting};
use nephoscope_tests::oracle::{self, Written};

/// Cycles of 4 s with leases of 2 s: the minimum that leaves slack for a loaded machine.
const SHORT: Setting = Setting {
    agents: 4,
    resources: 40,
    side: 10,
    interval: 4,
    lease: 2,
    pauses: false,
    nodes: 1,
    without: None,
};

/// Injects these faults into a pool, one after the other, and asserts that all guarantees hold.
fn play(setting: Setting, kinds: &[Kind]) -> Report {
    let mut scene = Scene::begin(setting);
    let mut draw = Draw::new(1);
    for kind in kinds {
        scene.rest(draw.seconds(0.0, f64::from(setting.interval)));
        scene.inject(*kind, &mut draw);
    }
    let report = scene.end();
    report.assert_promises();
    println!("{report}");
    report
}

/// Runs several scenes in parallel: agents are idle most of the time.
fn play_all(scenes: &[(Setting, &[Kind])]) -> Vec<Report> {
    thread::scope(|scope| {
        let playing: Vec<_> = scenes
            .iter()
            .map(|(setting, kinds)| scope.spawn(|| play(*setting, kinds)))
            .collect();
        playing.into_iter().map(|scene| scene.join().unwrap()).collect()
    })
}

#[test]
fn agents_that_join_leave_die_and_pause_lose_no_sample() {
    let reports = play_all(&[
        // None lost, none doubled.
        (SHORT, &[Kind::Stop, Kind::RollingRestart, Kind::RollingReload]),
        (SHORT, &[Kind::JoinStorm, Kind::SameId]),
        // None lost; only samples handed over and not yet marked are doubled.
        (SHORT, &[Kind::Kill, Kind::Pause, Kind::OwnerAndSuccessor]),
        (SHORT, &[Kind::Mixture, Kind::Mixture]),
    ]);
    finds_manipulated_samples(&reports[0]);
}

/// Checks the oracle: it reports a trace from which one sample is removed, or to which one is added.
fn finds_manipulated_samples(report: &Report) {
    let found = |change: &dyn Fn(&mut Vec<Written>, usize)| {
        let mut run = report.run.clone();
        let first = run.plans[0].cycle.start;
        // A sample of the third cycle, which is judged.
        let start = first + 2 * i64::from(report.setting.interval) * 1000;
        let place = run.written.iter().position(|sample| sample.cycle.start == start);
        change(&mut run.written, place.unwrap());
        let violations: Vec<_> = Report::judge(&run).violations().map(|found| found.kind).collect();
        violations
    };
    let removed = found(&|written, place| drop(written.remove(place)));
    assert_eq!(removed, [oracle::Kind::Missing]);
    let doubled = found(&|written, place| written.push(written[place].clone()));
    assert_eq!(doubled, [oracle::Kind::DoubledUnexplained]);
    let stolen = found(&|written, place| {
        let another = written.iter().find(|sample| sample.agent != written[place].agent);
        written[place].agent = another.unwrap().agent.clone();
    });
    assert_eq!(stolen, [oracle::Kind::OutsidePlan]);
}

#[test]
fn an_unavailable_slow_or_empty_etcd_loses_no_sample() {
    let pausing = Setting {
        pauses: true,
        ..SHORT
    };
    let cluster = Setting { nodes: 3, ..SHORT };
    let _ = play_all(&[
        (SHORT, &[Kind::EtcdFrozen, Kind::EtcdKilled, Kind::EtcdWiped]),
        (cluster, &[Kind::OneNodeKilled, Kind::TwoNodesKilled]),
        (SHORT, &[Kind::OneCutOff, Kind::HalfCutOff, Kind::Slow]),
        // No agent hands over a sample that was polled after the end of its lease.
        (pausing, &[Kind::OneCutOff, Kind::Pause]),
    ]);
}
