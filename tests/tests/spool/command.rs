//! `nephoscope spool`, with and without an agent.

use nephoscope_tests::rabbitmq::{Broker, Network};

use crate::account::Account;
use crate::independent;
use crate::scene::{Scene, Setting, stop, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spools_are_shown_drained_and_pruned() {
    let broker = Broker::start().await;
    let scene = Scene::new(&broker, &Setting::default()).await;
    listing_creates_nothing(&scene);
    without_an_agent(&scene, &broker).await;
    through_an_agent(&scene, &broker).await;
    an_agent_that_does_not_listen(&broker).await;
}

fn listing_creates_nothing(scene: &Scene) {
    let listed = scene.listed();
    assert_eq!(
        (&listed["batches"], &listed["publisher"]),
        (&0.into(), &"bus".into())
    );
    scene.spool(&["--drain"]).expect(0);
    scene.spool(&["--drop-older-than", "0s"]).expect(0);
    assert!(!scene.lab.path("state").exists());
    let unknown = scene.spool(&["buss"]).expect(2);
    insta::assert_snapshot!(unknown.stderr, @"error: failed to find the spool of `buss`: did you mean `bus`?");
}

/// Fills the spool and stops the agent.
fn fill(scene: &Scene, account: &mut Account) {
    scene.network.set(Network::Cut);
    let mut program = scene.start();
    program.cycles(2);
    stop(program, account);
}

async fn without_an_agent(scene: &Scene, broker: &Broker) {
    let mut account = Account::default();
    fill(scene, &mut account);
    let listed = scene.listed();
    assert_eq!(listed["samples"], account.samples(), "{listed}");
    assert!(listed["oldest"].is_string() && listed["bytes"].as_u64() > Some(1000));
    let failed = scene
        .spool(&["--drain", "--timeout", "1s", "--format", "json"])
        .expect(1);
    let failed: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(failed["remaining_samples"], account.samples(), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("broker"), "{failed}");
    let arrived = scene.drain_and_take(broker).await;
    account.assert_all_arrived(&arrived);
    assert_eq!(scene.listed()["samples"], 0);

    let mut account = Account::default();
    fill(scene, &mut account);
    scene.spool(&["--drop-older-than", "1h"]).expect(0);
    assert_eq!(
        scene.listed()["samples"],
        account.samples(),
        "no sample is that old"
    );
    let dropped = scene
        .spool(&["--drop-older-than", "0s", "--format", "json"])
        .expect(0);
    let dropped: serde_json::Value = serde_json::from_str(&dropped.stdout).unwrap();
    assert_eq!(dropped["dropped_samples"], account.samples());
    assert_eq!(scene.listed()["samples"], 0);
}

async fn through_an_agent(scene: &Scene, broker: &Broker) {
    let mut account = Account::default();
    scene.network.set(Network::Cut);
    let mut program = scene.start();
    program.ready();
    until(&mut program, "batches in the spool", |publisher| {
        publisher["spool"]["batches"].as_u64() > Some(3)
    });
    assert!(scene.listed()["batches"].as_u64() > Some(3));
    let failed = scene.spool(&["bus", "--drain", "--timeout", "1s"]).expect(1);
    assert!(failed.stdout.contains("broker"), "{failed}");
    // Two agents cannot use one folder.
    let second = scene.lab.nephoscope(&["run"]).finish().expect(3);
    assert!(
        second
            .stderr
            .contains(&format!("another agent with the process id {}", program.id())),
        "{second}"
    );
    scene.network.set(Network::Normal);
    scene.spool(&["--drain"]).expect(0);
    stop(program, &mut account);
    // The samples of the last cycle may have been stored at the stop instead of delivered.
    let arrived = scene.drain_and_take(broker).await;
    account.assert_all_arrived(&arrived);

    scene.network.set(Network::Cut);
    let mut program = scene.start();
    program.ready();
    until(&mut program, "batches in the spool", |publisher| {
        publisher["spool"]["batches"].as_u64() > Some(3)
    });
    let dropped = scene
        .spool(&["--drop-older-than", "0s", "--format", "json"])
        .expect(0);
    let dropped: serde_json::Value = serde_json::from_str(&dropped.stdout).unwrap();
    assert!(dropped["dropped_batches"].as_u64() > Some(0), "{dropped}");
    program.log("an operator dropped samples from the spool");
    program.stop().expect(0);
    scene.network.set(Network::Normal);
    scene.spool(&["--drain"]).expect(0);
    independent::take_all(broker).await;
}

async fn an_agent_that_does_not_listen(broker: &Broker) {
    let setting = Setting {
        agent: "admin: \"off\"".to_owned(),
        ..Setting::default()
    };
    let scene = Scene::new(broker, &setting).await;
    let mut program = scene.start();
    program.log("started");
    let refused = scene.spool(&[]).expect(3);
    insta::assert_snapshot!(scene.lab.without_place(&refused.stderr), @"error: failed to query the running agent: it uses `$LAB/state` and does not listen at a unix socket; set `agent.admin` to `unix:` and restart it");
    program.stop().expect(0);
}
