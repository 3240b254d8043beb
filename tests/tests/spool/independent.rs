//! An independent consumer, without code of the publisher: `amqp-consume` of rabbitmq-c.

use std::process::Stdio;

use nephoscope_tests::rabbitmq::{Broker, Client};
use nephoscope_tests::{PATIENCE, Sample};
use serde_json::{Deserializer, Value};
use tokio::process::Command;
use tokio::time::timeout;

/// The queue from which ceilometer's notification agent consumes samples.
pub(crate) const QUEUE: &str = "notifications.sample";

/// Consumes all messages of the queue, and returns their samples in order of arrival.
pub(crate) async fn take_all(broker: &Broker) -> Vec<Sample> {
    let count = Client::connect(broker, "/").await.waiting(QUEUE).await;
    if count == 0 {
        // It would block on an empty queue.
        return Vec::new();
    }
    let consuming = Command::new("amqp-consume")
        .args(["--server", "127.0.0.1", "--port", &broker.port.to_string()])
        .args(["--username", "guest", "--password", "guest", "--queue", QUEUE])
        .args(["--count", &count.to_string(), "cat"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE * 3, consuming)
        .await
        .unwrap_or_else(|_| panic!("amqp-consume does not get {count} messages"))
        .expect("amqp-consume is in Debian's amqp-tools: apt-get install amqp-tools");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "amqp-consume: {errors}");
    let messages = Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let messages: Vec<Value> = messages
        .collect::<Result<_, _>>()
        .expect("each message is complete");
    assert_eq!(messages.len(), count as usize);
    messages.iter().flat_map(samples).collect()
}

/// Parses the samples of a notification as ceilometer's notification agent does.
fn samples(outer: &Value) -> Vec<Sample> {
    assert_eq!(outer["oslo.version"], "2.0");
    let inner: Value = serde_json::from_str(outer["oslo.message"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&inner["event_type"], &inner["priority"]),
        (&"telemetry.polling".into(), &"SAMPLE".into())
    );
    let samples = inner["payload"]["samples"].as_array().unwrap();
    samples.iter().cloned().map(Sample).collect()
}
