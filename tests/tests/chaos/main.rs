//! Pools of real agents, and what is promised of them while things are done to them.
//!
//! Each scene is short. Longer ones, with faults drawn at random, are `tests/chaos`.

use nephoscope_tests::chaos::{Draw, Kind, Scene, Setting};

/// Cycles of 4 s with leases of 2 s: as short as the promises allow with room for a machine that has other things to do.
const SHORT: Setting = Setting {
    agents: 3,
    resources: 40,
    side: 10,
    interval: 4,
    lease: 2,
    pauses: false,
    nodes: 1,
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

#[test]
fn nothing_is_lost_when_agents_are_killed_or_paused() {
    play(SHORT, &[Kind::Kill, Kind::Pause]);
}
