//! Batches to a RabbitMQ with confirms, compared with a bare loop of the client library and with oslo.messaging.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use futures::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueuePurgeOptions};
use lapin::tcp::{AMQPUriTcpExt as _, AsyncTcpStream, TLSConfig};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use nephoscope_model::{Batch, OsloNotification, Sample};
use nephoscope_notifier::{Notifier, Outcome};
use nephoscope_tests::rabbitmq::{Broker, Client};
use serde_json::json;
use tokio::time::Instant;

use crate::bench::Effort;
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::instances::{BATCH, instance_samples};
use crate::oslo::Oslo;
use crate::stats::median;
use crate::table;
use crate::world::World;

/// The exchange and the queue of ceilometer's notifications (`docs/amqp.md`).
const EXCHANGE: &str = "ceilometer";
const QUEUE: &str = "notifications.sample";

/// Samples of a run.
const SAMPLES: usize = 20_000;

/// The number of batches whose receipts are awaited at once: more than any publisher here has in flight.
const OUTSTANDING: usize = 128;

/// The number of unconfirmed batches: the default, and a value for a distant broker.
const PIPELINING: [usize; 2] = [1, 32];

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let world = World::new()?;
    let mut broker = world.core.block_on(Broker::start());
    let figures = measure(&world, &broker, effort);
    world.core.block_on(broker.kill());
    figures
}

fn measure(world: &World, broker: &Broker, effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let runs = effort.of(5, 2);
    let samples = instance_samples(SAMPLES, 10)?;
    let mut figures = Vec::new();
    for pipelining in PIPELINING {
        let sender = Sender::new(world, broker, pipelining)?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        world.core.block_on(async {
            // The first batch connects and declares.
            let first = samples.get(..BATCH).unwrap_or_default();
            sender.ours(first).await?;
            let client = Client::connect(broker, "/").await;
            let connection = connect(broker.port).await.context("connect")?;
            let channel = confirming(&connection).await.context("open a channel")?;
            sender.bare(&channel, first).await?;
            for _ in 0..runs {
                ours.push(sender.ours(&samples).await?);
                purge(&client).await?;
                bare.push(sender.bare(&channel, &samples).await?);
                purge(&client).await?;
            }
            Ok::<_, BenchError>(())
        })?;
        let (ours, bare) = (median(ours), median(bare));
        figures.push(Figure::new(
            format!("to RabbitMQ, pipelining {pipelining}"),
            Unit::SamplesPerSecond,
            Budget::None,
            ours,
            format!(
                "{SAMPLES} samples, {BATCH} a batch, 10 for each instance, from samples to the receipts of the notifier, \
                 which come with the broker's confirms; median of {runs}"
            ),
        ));
        figures.push(Figure::new(
            "  a bare loop of lapin",
            Unit::SamplesPerSecond,
            Budget::None,
            bare,
            "the same bytes, already encoded, from one task to one channel, with as many unconfirmed batches; alternating \
             with the runs above",
        ));
        figures.push(Figure::new(
            "  the first / the second",
            Unit::Times,
            Budget::AtLeast(0.8),
            ours / bare,
            "the notifier with encoding, compared with its client library",
        ));
    }
    match Oslo::installed().and_then(|oslo| oslo.rate(broker.port, &samples)) {
        Ok(rate) => figures.push(Figure::new(
            "  oslo.messaging's notifier",
            Unit::SamplesPerSecond,
            Budget::None,
            rate,
            format!("the same samples, {BATCH} a notification, driver messagingv2, to the same broker"),
        )),
        // A peer is missing, not a figure of the program.
        Err(error) => table::print_error(&format!("oslo.messaging is not measured: {}", error.chain())),
    }
    Ok(figures)
}

/// Sends samples to a broker in two ways.
pub(crate) struct Sender {
    notifier: Notifier,
    pipelining: usize,
}

impl Sender {
    pub(crate) fn new(world: &World, broker: &Broker, pipelining: usize) -> Result<Self, BenchError> {
        let publisher = world.publisher_with(&url(broker.port), json!({ "pipelining": pipelining }))?;
        Ok(Self {
            notifier: world.notifier(publisher),
            pipelining,
        })
    }

    /// Returns samples per second through the notifier, from a task of its runtime like a cycle.
    pub(crate) async fn ours(&self, samples: &[Sample]) -> Result<f64, BenchError> {
        let passed = tokio::spawn(submit(self.notifier.clone(), batches(samples)));
        let passed = passed.await.context("run the notifier")??;
        Ok(samples.len() as f64 / passed.as_secs_f64())
    }

    /// Returns samples per second of the bare library, in a task of the same runtime.
    async fn bare(&self, channel: &Channel, samples: &[Sample]) -> Result<f64, BenchError> {
        let bodies: Vec<Vec<u8>> = batches(samples)
            .iter()
            .map(|batch| batch.encoded(&OsloNotification).unwrap_or_default().to_vec())
            .collect();
        let passed = tokio::spawn(send(channel.clone(), bodies, self.pipelining));
        let passed = passed.await.context("run the bare loop")??;
        Ok(samples.len() as f64 / passed.as_secs_f64())
    }
}

/// Returns the time until the batches are delivered.
async fn submit(notifier: Notifier, batches: Vec<Batch>) -> Result<Duration, BenchError> {
    let began = Instant::now();
    let mut receipts = VecDeque::new();
    for batch in batches {
        if receipts.len() >= OUTSTANDING
            && let Some(receipt) = receipts.pop_front()
        {
            delivered(receipt).await?;
        }
        receipts.push_back(notifier.submit(Arc::new(batch)).await);
    }
    for receipt in receipts {
        delivered(receipt).await?;
    }
    Ok(began.elapsed())
}

/// Returns the time to send the bodies, with this many unconfirmed ones.
async fn send(channel: Channel, bodies: Vec<Vec<u8>>, pipelining: usize) -> Result<Duration, BenchError> {
    let began = Instant::now();
    let mut confirms = FuturesUnordered::new();
    for body in &bodies {
        if confirms.len() >= pipelining {
            confirmed(&mut confirms).await?;
        }
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let confirm = channel
            .basic_publish(EXCHANGE.into(), QUEUE.into(), options, body, properties())
            .await
            .context("publish")?;
        confirms.push(confirm);
    }
    while !confirms.is_empty() {
        confirmed(&mut confirms).await?;
    }
    Ok(began.elapsed())
}

/// Connects with TCP_NODELAY, like the publisher.
async fn connect(port: u16) -> lapin::Result<Connection> {
    let mut uri = url(port).parse::<AMQPUri>().map_err(std::io::Error::other)?;
    "/".clone_into(&mut uri.vhost);
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connector(
        uri,
        runtime,
        async |uri, runtime| {
            let stream = uri
                .connect_with_config_async(TLSConfig::default(), &runtime)
                .await?;
            if let AsyncTcpStream::Plain(stream) = &stream {
                stream.get_ref().set_nodelay(true)?;
            }
            Ok(stream)
        },
        ConnectionProperties::default(),
    )
    .await
}

async fn confirming(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Returns the URL of the broker at a local port.
pub(crate) fn url(port: u16) -> String {
    format!("amqp://guest:guest@127.0.0.1:{port}/")
}

pub(crate) fn batches(samples: &[Sample]) -> Vec<Batch> {
    samples
        .chunks(BATCH)
        .map(|samples| Batch::new(samples.to_vec(), "openstack".into()))
        .collect()
}

async fn delivered(receipt: nephoscope_notifier::Receipt) -> Result<(), BenchError> {
    match receipt.outcome().await {
        Outcome::Delivered => Ok(()),
        other => Err(BenchError::new(format!("a batch was not delivered: {other:?}"))),
    }
}

async fn confirmed(confirms: &mut FuturesUnordered<lapin::PublisherConfirm>) -> Result<(), BenchError> {
    match confirms.try_next().await.context("wait for a confirm")? {
        Some(lapin::Confirmation::Ack(None)) => Ok(()),
        other => Err(BenchError::new(format!(
            "the broker did not accept a batch: {other:?}"
        ))),
    }
}

/// The properties that the publisher sets.
fn properties() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_headers(FieldTable::default())
        .with_delivery_mode(2)
        .with_priority(0)
}

/// Empties the queue; returns the number of its messages.
pub(crate) async fn purge(client: &Client) -> Result<u32, BenchError> {
    client
        .channel
        .queue_purge(QUEUE.into(), QueuePurgeOptions::default())
        .await
        .context("empty the queue")
}
