//! A broker that is out of memory, stopped, or killed in the middle of a stream.

use std::collections::HashSet;
use std::sync::Arc;

use nephoscope_plugin::Publisher;
use nephoscope_plugin::testing::publisher;
use nephoscope_tests::rabbitmq::{Broker, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::batches::{PATIENCE, batch, deliver, failure_with, publish};

const QUEUE: &str = "notifications.sample";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_of_the_broker() {
    let mut broker = Broker::start().await;
    a_broker_without_memory_blocks(&broker).await;
    an_application_that_is_stopped(&broker).await;
    a_broker_that_is_killed(&mut broker).await;
}

fn durable(broker: &Broker, options: serde_json::Value) -> Arc<dyn Publisher> {
    let mut options = options;
    options["durable"] = json!(true);
    let url = format!("amqp://guest:guest@127.0.0.1:{}/", broker.port);
    publisher(&url, options).unwrap()
}

async fn a_broker_without_memory_blocks(broker: &Broker) {
    let publisher = durable(broker, json!({ "confirm_timeout": "1s" }));
    deliver(&publisher, &batch("r1", 1)).await;
    broker.control(&["set_vm_memory_high_watermark", "0"]).await;
    let second = batch("r2", 1);
    let text = failure_with(&publisher, &second, "blocked").await;
    insta::assert_snapshot!(text, @"blocked by the broker: low on memory");
    // While it is known to be blocked, nothing is sent.
    assert_eq!(failure_with(&publisher, &second, "blocked").await, text);
    broker
        .control(&["set_vm_memory_high_watermark", "absolute", "2GB"])
        .await;
    deliver(&publisher, &second).await;
    let client = Client::connect(broker, "/").await;
    let mut arrivals = client.consume(QUEUE).await;
    assert_eq!(arrivals.next_resource().await, "r1");
    assert_eq!(arrivals.next_resource().await, "r2");
    publisher.close().await;
    purge(broker).await;
}

async fn an_application_that_is_stopped(broker: &Broker) {
    let stream = Stream::start(durable(broker, json!({})));
    stream.reaches(20).await;
    broker.control(&["stop_app"]).await;
    broker.control(&["start_app"]).await;
    let reached = stream.reached();
    stream.reaches(reached + 20).await;
    stream.all_arrived(broker).await;
}

async fn a_broker_that_is_killed(broker: &mut Broker) {
    let stream = Stream::start(durable(
        broker,
        json!({ "connect_timeout": "2s", "confirm_timeout": "2s" }),
    ));
    stream.reaches(50).await;
    broker.kill().await;
    broker.restart().await;
    let reached = stream.reached();
    stream.reaches(reached + 20).await;
    stream.all_arrived(broker).await;
}

async fn purge(broker: &Broker) {
    broker.control(&["purge_queue", QUEUE]).await;
}

/// Batches `b0`, `b1` and so on, each published until it is delivered.
struct Stream {
    delivered: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    task: JoinHandle<usize>,
}

impl Stream {
    fn start(publisher: Arc<dyn Publisher>) -> Self {
        let (count, delivered) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut number = 0;
            while !*stopped.borrow() {
                deliver(&publisher, &batch(&format!("b{number}"), 2)).await;
                number += 1;
                count.send_replace(number);
            }
            publish(&publisher, &batch("last", 1)).await.unwrap();
            number
        });
        Self {
            delivered,
            stop,
            task,
        }
    }

    fn reached(&self) -> usize {
        *self.delivered.borrow()
    }

    async fn reaches(&self, count: usize) {
        let mut delivered = self.delivered.clone();
        let reached = timeout(PATIENCE, delivered.wait_for(|delivered| *delivered >= count)).await;
        reached.expect("the stream must continue").unwrap();
    }

    /// Ends the stream, and checks that every batch that counts as delivered is in the queue.
    async fn all_arrived(self, broker: &Broker) {
        self.stop.send_replace(true);
        let delivered = self.task.await.unwrap();
        let client = Client::connect(broker, "/").await;
        let mut arrivals = client.consume(QUEUE).await;
        let mut arrived = HashSet::new();
        loop {
            let resource = arrivals.next_resource().await;
            if resource == "last" {
                break;
            }
            arrived.insert(resource);
        }
        let missing: Vec<_> = (0..delivered)
            .filter(|number| !arrived.contains(&format!("b{number}")))
            .collect();
        assert!(
            missing.is_empty(),
            "{} of {delivered} are lost: {missing:?}",
            missing.len()
        );
    }
}
