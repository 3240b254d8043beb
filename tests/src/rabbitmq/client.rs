//! A client apart from the publisher, which reads and changes the broker's queues.

use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use serde_json::Value;
use tokio::time::timeout;

use super::broker::Broker;
use crate::deadline::PATIENCE;

/// A connection with a channel.
#[derive(Debug)]
pub struct Client {
    _connection: Connection,
    /// The channel.
    pub channel: Channel,
}

impl Client {
    /// Connects as `guest`.
    pub async fn connect(broker: &Broker, vhost: &str) -> Self {
        let mut uri: AMQPUri = format!("amqp://guest:guest@127.0.0.1:{}/", broker.port)
            .parse()
            .unwrap();
        vhost.clone_into(&mut uri.vhost);
        let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
        let connection = timeout(PATIENCE, connecting).await.unwrap().unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self {
            _connection: connection,
            channel,
        }
    }

    /// Returns the number of messages in an existing queue.
    pub async fn waiting(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = self
            .channel
            .queue_declare(queue.into(), options, FieldTable::default());
        declared.await.unwrap().message_count()
    }

    /// Consumes from an existing queue.
    pub async fn consume(&self, queue: &str) -> Arrivals {
        let options = BasicConsumeOptions::default();
        let consumer = self
            .channel
            .basic_consume(queue.into(), "test".into(), options, FieldTable::default())
            .await
            .unwrap();
        Arrivals(consumer)
    }
}

/// The messages of a queue.
#[derive(Debug)]
pub struct Arrivals(Consumer);

impl Arrivals {
    /// Returns the next message and acknowledges it.
    pub async fn next(&mut self) -> Delivery {
        let delivery = timeout(PATIENCE, self.0.next()).await.expect("a message arrives");
        let delivery = delivery.expect("the queue stays").unwrap();
        delivery.ack(BasicAckOptions::default()).await.unwrap();
        delivery
    }

    /// Returns the first resource of the next message.
    pub async fn next_resource(&mut self) -> String {
        resources(&self.next().await.data).swap_remove(0)
    }
}

/// Returns the resources of a notification, in order.
#[must_use]
pub fn resources(body: &[u8]) -> Vec<String> {
    let outer: Value = serde_json::from_slice(body).unwrap();
    let inner: Value = serde_json::from_str(outer["oslo.message"].as_str().unwrap()).unwrap();
    let samples = inner["payload"]["samples"].as_array().unwrap();
    samples
        .iter()
        .map(|sample| sample["resource_id"].as_str().unwrap().to_owned())
        .collect()
}
