//! A killed agent loses no sample with a receipt.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use nephoscope_notifier::failpoint::{Failpoint, VARIABLE};
use nephoscope_tests::rabbitmq::{Broker, Network};
use nephoscope_tests::{Signal, failpoints_path};

use crate::account::Account;
use crate::draw::{Draw, long};
use crate::scene::{Scene, Setting};

/// The maximum lifetime of an agent before it is killed.
const LIFE: Duration = Duration::from_millis(2500);

fn with(spool: &str) -> Setting {
    Setting {
        spool: spool.to_owned(),
        ..Setting::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_killed_at_each_failpoint() {
    let broker = Broker::start().await;
    // Segments of 256 KiB, so that there are several of them.
    let setting = with("{mode: always, fsync: always, max_bytes: 2MiB}");
    let scene = Scene::new(&broker, &setting).await;
    let mut account = Account::default();
    for place in Failpoint::ALL {
        let at = place.as_str();
        let launch = scene.lab.nephoscope(&["run", "--log-level", "debug"]);
        let mut program = launch.copy_at(failpoints_path()).env(VARIABLE, at).start();
        if place == Failpoint::Closing {
            program.cycles(1);
            program.signal(Signal::TERM);
        }
        let finished = program.finish();
        assert_eq!(
            finished.status.signal(),
            Some(Signal::KILL.as_raw()),
            "it dies at {at}: {finished}"
        );
        account.read(&finished.stderr);
    }
    // A program without failpoints recovers the spool.
    let mut program = scene.start();
    program.cycles(2);
    account.read(&program.kill().stderr);
    let arrived = scene.drain_and_take(&broker).await;
    account.assert_kept_arrived(&arrived);
    assert!(account.kept() > 0, "no cycle was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_killed_at_random_times() {
    let broker = Broker::start().await;
    let mut draw = Draw::of_this_run();
    let (synced, others) = if long() { (200, 40) } else { (8, 3) };
    let spools = [
        ("{mode: always, fsync: always}", synced),
        ("{mode: always, fsync: interval, order: fifo}", others),
        ("{mode: always, fsync: never}", others),
        ("{mode: overflow, fsync: always}", others),
        ("{mode: overflow, fsync: interval}", others),
        ("{mode: overflow, fsync: never, order: fifo}", others),
    ];
    for (spool, kills) in spools {
        let scene = Scene::new(&broker, &with(spool)).await;
        let mut account = Account::default();
        for _ in 0..kills {
            // While the network is bad, samples gather in the spool.
            scene.network.set(network(&mut draw));
            let mut program = scene.start();
            program.let_run(draw.time(LIFE));
            scene.network.set(network(&mut draw));
            program.let_run(draw.time(LIFE / 2));
            account.read(&program.kill().stderr);
        }
        let arrived = scene.drain_and_take(&broker).await;
        account.assert_kept_arrived(&arrived);
        println!(
            "{spool}: {kills} kills, {} cycles stored, {} duplicates",
            account.kept(),
            arrived.duplicates
        );
    }
}

fn network(draw: &mut Draw) -> Network {
    match draw.below(5) {
        0 | 1 => Network::Cut,
        2 => Network::HalfOpen,
        _ => Network::Normal,
    }
}
