//! Spools through starts, reloads and rejected batches.

use nephoscope_tests::rabbitmq::{Broker, Network};
use nephoscope_tests::{Program, Signal};

use crate::account::{Account, Arrived};
use crate::independent;
use crate::scene::{Scene, Setting, publisher, stop, until, until_delivered};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spools_through_the_lifecycle_of_an_agent() {
    let broker = Broker::start().await;
    a_reload_changes_a_spool(&broker).await;
    a_folder_that_another_agent_uses(&broker).await;
    rejected_batches_are_dead_lettered(&broker).await;
    once_has_no_spool(&broker).await;
}

async fn a_reload_changes_a_spool(broker: &Broker) {
    let setting = Setting::default();
    let scene = Scene::new(broker, &setting).await;
    let mut account = Account::default();
    scene.network.set(Network::Cut);
    let mut program = scene.start();
    program.ready();
    until(&mut program, "batches in the spool", |publisher| {
        publisher["spool"]["batches"].as_u64() > Some(3)
    });
    let reload = |program: &mut Program, spool: &str| {
        let spool = spool.to_owned();
        scene.configure(&Setting {
            spool,
            ..setting.clone()
        });
        program.signal(Signal::HUP);
    };
    reload(&mut program, "{mode: always, max_bytes: 64MiB}");
    program.log("configuration applied");
    let spool = &publisher(&program)["spool"];
    assert_eq!(
        (&spool["mode"], &spool["limit_bytes"]),
        (&"always".into(), &(64 << 20).into())
    );
    assert!(
        spool["batches"].as_u64() > Some(3),
        "the spool is not the same: {spool}"
    );
    // At another path: the former folder waits for a publisher that uses it again.
    reload(&mut program, "{path: $LAB/elsewhere}");
    program.log("a spool contains samples and no publisher uses it");
    program.log("configuration applied");
    let listed = scene.spool(&["--format", "json"]).expect(0).stdout;
    assert!(listed.contains("elsewhere"), "{listed}");
    reload(&mut program, "{}");
    program.log("configuration applied");
    scene.network.set(Network::Normal);
    until_delivered(&mut program);
    stop(program, &mut account);
    let listed = scene.spool(&["--format", "table"]).expect(0).stdout;
    assert!(!listed.contains("(none)"), "{listed}");
    // The other folder contains the samples stored while it was used.
    scene.configure(&Setting {
        spool: "{path: $LAB/elsewhere}".to_owned(),
        ..setting.clone()
    });
    let arrived = scene.drain_and_take(broker).await;
    account.assert_all_arrived(&arrived);
}

async fn a_folder_that_another_agent_uses(broker: &Broker) {
    let setting = Setting {
        spool: "{path: $LAB/shared}".to_owned(),
        ..Setting::default()
    };
    let scene = Scene::new(broker, &setting).await;
    let mut program = scene.start();
    program.ready();
    let other = scene.lab.read("polling.yaml").replace("/state", "/other");
    scene.lab.write("other.yaml", &other);
    let refused = scene
        .lab
        .nephoscope(&["run", "--config", "other.yaml"])
        .finish()
        .expect(3);
    let line = refused.stderr.lines().last().unwrap();
    let line = scene
        .lab
        .without_place(line)
        .replace(&program.id().to_string(), "PID");
    let (_, line) = line.split_once("ERROR").unwrap();
    insta::assert_snapshot!(line.trim(), @"failed to set up the publishers: open the spool of `bus`: use the folder of the spool: $LAB/shared is in use by process PID");
    let mut account = Account::default();
    stop(program, &mut account);
    independent::take_all(broker).await;
}

async fn rejected_batches_are_dead_lettered(broker: &Broker) {
    // One message larger than the broker accepts.
    let setting = Setting {
        batch_size: 10_000,
        queue: 100_000,
        resources: 4_000,
        ..Setting::default()
    };
    let scene = Scene::new(broker, &setting).await;
    let mut program = scene.start();
    program.log("samples are lost: the destination rejects them permanently");
    program.cycles(1);
    let refused = publisher(&program);
    let batches = refused["spool"]["dead_letter"]["batches"].as_u64();
    assert!(batches > Some(0), "{refused}");
    let metrics = program.get("/metrics");
    assert!(metrics.metric("nephoscope_dead_letter_batches", &["publisher=\"bus\""]) > 0.0);
    program.stop().expect(0);
    assert!(scene.listed()["dead_letter_batches"].as_u64() >= batches);
    let dead_letters = scene.lab.read("state/spool/bus/dead_letter.jsonl");
    let first: serde_json::Value = serde_json::from_str(dead_letters.lines().next().unwrap()).unwrap();
    assert!(
        first["reason"]
            .as_str()
            .unwrap()
            .contains("exceeds the broker's limit"),
        "{}",
        first["reason"]
    );
    assert_eq!(first["samples"], 4_000);
    independent::take_all(broker).await;
}

async fn once_has_no_spool(broker: &Broker) {
    let scene = Scene::new(broker, &Setting::default()).await;
    scene
        .lab
        .nephoscope(&["once", "--publish", "--format", "json"])
        .finish()
        .expect(0);
    assert!(!scene.lab.path("state").exists());
    let arrived = Arrived::of(&independent::take_all(broker).await);
    assert_eq!(arrived.duplicates, 0);
}
