//! A broker outage during a stream, and a backlog that outlives it.

use nephoscope_tests::rabbitmq::{Broker, Network};

use crate::account::{Account, Arrived};
use crate::draw::long;
use crate::independent;
use crate::scene::{Scene, Setting, stop, until, until_delivered};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_through_outages_of_network_and_broker() {
    let (resources, enough) = if long() {
        (20_000, 1_000_000)
    } else {
        (2_000, 20_000)
    };
    let mut broker = Broker::start().await;
    let setting = Setting {
        spool: "{order: fifo}".to_owned(),
        queue: resources / 2,
        batch_size: 500,
        resources,
        ..Setting::default()
    };
    let scene = Scene::new(&broker, &setting).await;
    let mut account = Account::default();
    let mut program = scene.start();
    program.cycles(2);
    scene.network.set(Network::Cut);
    let spooled = |publisher: &serde_json::Value| publisher["spool"]["batches"].as_u64() > Some(5);
    until(&mut program, "batches in the spool", spooled);
    scene.network.set(Network::Normal);
    program.cycles(1);
    broker.kill().await;
    until(&mut program, "batches in the spool", spooled);
    // The agent restarts in the middle of it.
    stop(program, &mut account);
    let mut program = scene.start();
    program.log("the spool holds samples of an earlier process");
    let wanted = enough / resources / 2;
    program.cycles(wanted);
    broker.restart().await;
    program.cycles(wanted);
    until_delivered(&mut program);
    stop(program, &mut account);
    let arrived = Arrived::of(&independent::take_all(&broker).await);
    assert!(account.samples() >= enough, "{} samples", account.samples());
    account.assert_all_arrived(&arrived);
    println!("{} samples, {} duplicates", account.samples(), arrived.duplicates);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifo_keeps_the_order_of_each_resource() {
    let broker = Broker::start().await;
    for mode in ["overflow", "always"] {
        let setting = Setting {
            spool: format!("{{mode: {mode}, order: fifo}}"),
            ..Setting::default()
        };
        let scene = Scene::new(&broker, &setting).await;
        let mut account = Account::default();
        let mut program = scene.start();
        program.cycles(1);
        for network in [Network::Cut, Network::Normal, Network::HalfOpen, Network::Normal] {
            scene.network.set(network);
            program.cycles(2);
        }
        until_delivered(&mut program);
        stop(program, &mut account);
        let arrived = Arrived::of(&independent::take_all(&broker).await);
        account.assert_all_arrived(&arrived);
        arrived.assert_in_order();
    }
}
