//! What is promised, one scene for some of the situations.

use std::thread;

use nephoscope_tests::chaos::{Draw, Kind, Scene, Setting};

/// Cycles of 4 s with leases of 2 s: as short as the promises allow with room for a machine that has other things to do.
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

/// Does these things to a pool, one after the other, and asserts that it kept all promises.
fn play(setting: Setting, kinds: &[Kind]) {
    let mut scene = Scene::begin(setting);
    let mut draw = Draw::new(1);
    for kind in kinds {
        scene.rest(draw.seconds(0.0, f64::from(setting.interval)));
        scene.suffer(*kind, &mut draw);
    }
    scene.end().assert_promises();
}

/// Several scenes at the same time: agents wait for most of it.
fn play_all(scenes: &[(Setting, &[Kind])]) {
    thread::scope(|scope| {
        let playing: Vec<_> = scenes
            .iter()
            .map(|(setting, kinds)| scope.spawn(|| play(*setting, kinds)))
            .collect();
        for scene in playing {
            scene.join().unwrap();
        }
    });
}

#[test]
fn agents_that_come_go_die_and_pause_cost_no_sample() {
    play_all(&[
        // None lost, none doubled.
        (SHORT, &[Kind::Stop, Kind::RollingRestart, Kind::RollingReload]),
        (SHORT, &[Kind::JoinStorm, Kind::SameId]),
        // None lost; doubled is what was handed over and not yet marked.
        (SHORT, &[Kind::Kill, Kind::Pause, Kind::OwnerAndSuccessor]),
        (SHORT, &[Kind::Mixture, Kind::Mixture]),
    ]);
}

#[test]
fn an_etcd_that_is_away_slow_or_empty_costs_no_sample() {
    let pausing = Setting {
        pauses: true,
        ..SHORT
    };
    let cluster = Setting { nodes: 3, ..SHORT };
    play_all(&[
        (SHORT, &[Kind::EtcdFrozen, Kind::EtcdKilled, Kind::EtcdWiped]),
        (cluster, &[Kind::OneNodeKilled, Kind::TwoNodesKilled]),
        (SHORT, &[Kind::OneCutOff, Kind::HalfCutOff, Kind::Slow]),
        // Nobody hands over what was polled after the end of its lease.
        (pausing, &[Kind::OneCutOff, Kind::Pause]),
    ]);
}
