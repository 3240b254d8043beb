//! Concurrent scenarios that do not stop the broker.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use lapin::ExchangeKind;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use nephoscope_plugin::model::OsloNotification;
use nephoscope_plugin::testing::{publisher, publisher_conformance};
use nephoscope_plugin::{PublishError, Publisher};
use nephoscope_tests::rabbitmq::{Broker, Client, Network, Proxy, resources};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing::Level;

use crate::batches::{PATIENCE, batch, deliver, failure, failure_with, publish};
use crate::log;

const QUEUE: &str = "notifications.sample";

/// A password that must not be logged.
const CANARY: &str = "canary-5d0c1e";

/// The number of concurrent scenarios.
const AT_ONCE: usize = 6;

/// The environment of a scenario: the broker, and its own virtual host.
#[derive(Clone)]
struct Scene {
    broker: Arc<Broker>,
    vhost: &'static str,
}

type Scenario = fn(Scene) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), (|scene| Box::pin($name(scene))) as Scenario)),*]
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios_with_a_running_broker() {
    log::capture();
    let scenarios = scenarios![
        the_publisher_conforms,
        messages_equal_those_of_ceilometer,
        each_topic_receives_a_copy,
        batches_are_sent_ahead_of_their_confirms,
        a_full_queue_is_retried,
        a_batch_without_a_queue_is_not_confirmed,
        a_batch_that_one_queue_lacks_is_not_confirmed,
        a_batch_that_is_too_large_is_rejected,
        existing_objects_with_other_properties_are_used,
        durable_and_quorum_queues_are_declared,
        a_virtual_host_that_is_deleted_and_created_again,
        a_user_that_is_changed,
        missing_permissions,
        a_network_that_breaks,
        a_network_that_hangs,
        a_hanging_idle_connection_is_closed,
        unreachable_hosts_are_skipped,
        a_server_of_another_protocol_is_reported,
        tls_with_valid_and_invalid_authorities,
        a_publisher_outlives_its_first_runtime,
        a_publish_may_be_dropped,
    ];
    let broker = Arc::new(Broker::start().await);
    let names: Vec<_> = scenarios.iter().map(|(name, _)| *name).collect();
    broker.add_vhosts(&names).await;
    let mut runs = stream::iter(scenarios)
        .map(|(vhost, scenario)| {
            let broker = broker.clone();
            async move {
                let run = tokio::spawn(timeout(PATIENCE * 2, scenario(Scene { broker, vhost })));
                match run.await {
                    Ok(Ok(())) => None,
                    Ok(Err(_)) => Some(format!("{vhost}: does not end")),
                    // The panic was printed above.
                    Err(error) => Some(format!("{vhost}: {error}")),
                }
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    while let Some(outcome) = runs.next().await {
        failed.extend(outcome);
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(log::lines_with(CANARY), [], "a password is in the log");
}

impl Scene {
    fn url(&self) -> String {
        self.url_by(self.broker.port)
    }

    fn url_by(&self, port: u16) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/{}", self.vhost)
    }

    fn publisher(&self, options: Value) -> Arc<dyn Publisher> {
        publisher(&self.url(), options).unwrap()
    }

    async fn client(&self) -> Client {
        Client::connect(&self.broker, self.vhost).await
    }

    /// Removes the variable parts of a text.
    fn plain(&self, text: &str) -> String {
        let text = text.replace(&self.broker.port.to_string(), "PORT");
        text.replace(&self.broker.tls_port.to_string(), "TLS-PORT")
    }
}

async fn the_publisher_conforms(scene: Scene) {
    publisher_conformance(&scene.url(), json!(null)).await;
    publisher_conformance(&scene.url(), json!({ "pipelining": 16, "sasl": "amqplain" })).await;
}

async fn messages_equal_those_of_ceilometer(scene: Scene) {
    // The captured frames of oslo.messaging's notifier, except for `mandatory` (the last bits of publish).
    const FRAMES: [&str; 6] = [
        "0100010000001c0028000a00000a6365696c6f6d6574657205746f7069630000000000ce",
        "010001000000200032000a0000146e6f74696669636174696f6e732e73616d706c650000000000ce",
        "01000100000040003200140000146e6f74696669636174696f6e732e73616d706c650a6365696c6f6d65746572146e6f74696669636174\
         696f6e732e73616d706c650000000000ce",
        "010001000000050055000a00ce",
        "01000100000027003c002800000a6365696c6f6d65746572146e6f74696669636174696f6e732e73616d706c6501ce",
        // The content header except for the length of the body, then its flags and properties.
        "0200010000002b003c0000",
    ];
    const PROPERTIES: &str = "f800106170706c69636174696f6e2f6a736f6e057574662d38000000000200ce";
    let proxy = Proxy::to(scene.broker.port);
    let publisher = publisher(&scene.url_by(proxy.port), json!(null)).unwrap();
    let batch = batch("r1", 3);
    publish(&publisher, &batch).await.unwrap();

    let sent = hex(&proxy.sent());
    let mut at = 0;
    for frame in FRAMES.iter().chain([&PROPERTIES]) {
        let found = sent[at..].find(frame);
        at += found.unwrap_or_else(|| panic!("{frame} is not in {}", &sent[at..])) + frame.len();
    }
    assert!(
        sent[at..].contains(&hex(batch.encoded(&OsloNotification).unwrap())),
        "the body differs"
    );

    let client = scene.client().await;
    let delivery = client.consume(QUEUE).await.next().await;
    assert_eq!(delivery.data, batch.encoded(&OsloNotification).unwrap());
    assert_eq!(
        (delivery.exchange.as_str(), delivery.routing_key.as_str()),
        ("ceilometer", QUEUE)
    );
    insta::assert_debug_snapshot!(delivery.properties, @r#"
    AMQPProperties {
        content_type: Some(
            ShortString(
                "application/json",
            ),
        ),
        content_encoding: Some(
            ShortString(
                "utf-8",
            ),
        ),
        headers: Some(
            FieldTable(
                {},
            ),
        ),
        delivery_mode: Some(
            2,
        ),
        priority: Some(
            0,
        ),
        correlation_id: None,
        reply_to: None,
        expiration: None,
        message_id: None,
        timestamp: None,
        kind: None,
        user_id: None,
        app_id: None,
        cluster_id: None,
    }
    "#);
    assert_eq!(resources(&delivery.data), ["r1", "r1/1", "r1/2"]);
}

async fn each_topic_receives_a_copy(scene: Scene) {
    let options = json!({ "topics": ["notifications", "audit"], "exchange": "nova" });
    let publisher = scene.publisher(options);
    let batch = batch("r1", 1);
    publish(&publisher, &batch).await.unwrap();
    let client = scene.client().await;
    let first = client.consume(QUEUE).await.next().await;
    let channel = client.channel.clone();
    let second = channel
        .basic_consume(
            "audit.sample".into(),
            "second".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.exchange.as_str(), "nova");
    assert_eq!(first.data, batch.encoded(&OsloNotification).unwrap());
    assert_eq!(
        second.data,
        *OsloNotification::for_topic(batch.encoded(&OsloNotification).unwrap(), 1)
    );
}

async fn batches_are_sent_ahead_of_their_confirms(scene: Scene) {
    const BATCHES: usize = 200;
    let publisher = scene.publisher(json!({ "pipelining": 16 }));
    assert_eq!(publisher.in_flight(), 16);
    let publishes = stream::iter(0..BATCHES).map(|number| {
        let publisher = publisher.clone();
        async move { publish(&publisher, &batch(&format!("r{number}"), 2)).await }
    });
    let outcomes: Vec<_> = publishes.buffer_unordered(16).collect().await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let client = scene.client().await;
    let mut arrivals = client.consume(QUEUE).await;
    let mut arrived = Vec::new();
    for _ in 0..BATCHES {
        arrived.push(arrivals.next_resource().await);
    }
    arrived.sort();
    arrived.dedup();
    assert_eq!(arrived.len(), BATCHES);
}

async fn a_full_queue_is_retried(scene: Scene) {
    let client = scene.client().await;
    let mut limits = FieldTable::default();
    limits.insert("x-max-length".into(), AMQPValue::LongInt(1));
    limits.insert(
        "x-overflow".into(),
        AMQPValue::LongString("reject-publish".into()),
    );
    let declared = client
        .channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::default(), limits);
    declared.await.unwrap();
    let publisher = scene.publisher(json!(null));
    publish(&publisher, &batch("r1", 1)).await.unwrap();
    let second = batch("r2", 1);
    insta::assert_snapshot!(failure_with(&publisher, &second, "is full").await, @"the broker rejected the batch for the queue `notifications.sample`: the queue is full (`max-length` with `reject-publish`) or unavailable; let consumers catch up, or raise its limit");
    let purge = client
        .channel
        .queue_purge(QUEUE.into(), QueuePurgeOptions::default());
    purge.await.unwrap();
    deliver(&publisher, &second).await;
    assert_eq!(client.consume(QUEUE).await.next_resource().await, "r2");
}

async fn a_batch_without_a_queue_is_not_confirmed(scene: Scene) {
    let publisher = scene.publisher(json!({ "pipelining": 4 }));
    publish(&publisher, &batch("r1", 1)).await.unwrap();
    let client = scene.client().await;
    let unbind = client.channel.queue_unbind(
        QUEUE.into(),
        "ceilometer".into(),
        QUEUE.into(),
        FieldTable::default(),
    );
    unbind.await.unwrap();
    let second = batch("r2", 1);
    insta::assert_snapshot!(failure(&publisher, &second).await, @"the broker returned the batch (312 NO_ROUTE): the exchange `ceilometer` had no binding for the queue `notifications.sample`; it is declared and bound again, check who removes it if this repeats");
    // The publisher binds the queue again.
    deliver(&publisher, &second).await;
    let mut arrivals = client.consume(QUEUE).await;
    assert_eq!(arrivals.next_resource().await, "r1");
    assert_eq!(arrivals.next_resource().await, "r2");

    // The same after the exchange is removed: the broker closes the channel.
    let delete = client
        .channel
        .exchange_delete("ceilometer".into(), Default::default());
    delete.await.unwrap();
    let failures = deliver(&publisher, &batch("r3", 1)).await;
    insta::assert_snapshot!(scene.plain(&failures[0]), @"the broker at 127.0.0.1:PORT rejected the request, exchange or queue was deleted and is declared again: NOT_FOUND - no exchange 'ceilometer' in vhost 'a_batch_without_a_queue_is_not_confirmed'");
    assert_eq!(arrivals.next_resource().await, "r3");
}

async fn a_batch_that_one_queue_lacks_is_not_confirmed(scene: Scene) {
    let publisher = scene.publisher(json!({ "topics": ["bound", "unbound"], "pipelining": 8 }));
    publish(&publisher, &batch("first", 1)).await.unwrap();
    let client = scene.client().await;
    let unbound = "unbound.sample";
    let unbind = client.channel.queue_unbind(
        unbound.into(),
        "ceilometer".into(),
        unbound.into(),
        FieldTable::default(),
    );
    unbind.await.unwrap();
    // Sent together, so that confirms and returned messages arrive in any order; retried until each is accepted.
    let names: Vec<_> = (0..40).map(|number| format!("r{number}")).collect();
    let batches = names.clone().into_iter().map(|name| {
        let publisher = publisher.clone();
        async move { deliver(&publisher, &batch(&name, 2)).await }
    });
    let failures: Vec<_> = stream::iter(batches).buffer_unordered(8).collect().await;
    let failures = failures.concat();
    assert!(
        failures.iter().any(|text| text.contains("NO_ROUTE")),
        "{failures:?}"
    );
    let mut arrivals = client.consume(unbound).await;
    let mut missing: HashSet<_> = names.into_iter().collect();
    while !missing.is_empty() {
        missing.remove(&arrivals.next_resource().await);
    }
}

async fn a_batch_that_is_too_large_is_rejected(scene: Scene) {
    let publisher = scene.publisher(json!(null));
    // The broker of these tests accepts 1 MiB.
    let large = batch("large", 4000);
    match publish(&publisher, &large).await {
        Err(PublishError::Rejected { message }) => {
            let size = large.encoded(&OsloNotification).unwrap().len().to_string();
            insta::assert_snapshot!(message.replace(&size, "SIZE"), @"a batch exceeds the broker's limit, lower `notifier.batch_size`: PRECONDITION_FAILED - message size SIZE is larger than configured max size 1048576");
        }
        other => panic!("expected a rejection, got {other:?}"),
    }
    deliver(&publisher, &batch("small", 1)).await;

    // With several batches in flight all are retried; in flight alone, only the large one is rejected.
    let publisher = scene.publisher(json!({ "pipelining": 8 }));
    let (mut rejected, mut rounds) = (0, 0);
    let mut batches: Vec<_> = (0..8).map(|number| batch(&format!("small{number}"), 1)).collect();
    batches.insert(4, large);
    while !batches.is_empty() {
        rounds += 1;
        assert!(rounds < 100, "{} batches are not accepted", batches.len());
        // Like the notifier after a failure: one at a time.
        let at_once = if rounds == 1 { batches.len() } else { 1 };
        let tried = batches.drain(..at_once).map(|batch| async {
            let outcome = publish(&publisher, &batch).await;
            (batch, outcome)
        });
        for (batch, outcome) in join_all(tried).await {
            match outcome {
                Ok(()) => {}
                Err(PublishError::Retry { .. }) => batches.push(batch),
                Err(PublishError::Rejected { .. }) => {
                    assert!(batch.samples().len() > 1, "a small batch is rejected");
                    rejected += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(rejected, 1);
}

async fn existing_objects_with_other_properties_are_used(scene: Scene) {
    let client = scene.client().await;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let kind = ExchangeKind::Topic;
    let exchange = client
        .channel
        .exchange_declare("other".into(), kind, durable, FieldTable::default());
    exchange.await.unwrap();
    let durable = QueueDeclareOptions::durable();
    let queue = client
        .channel
        .queue_declare("other.sample".into(), durable, FieldTable::default());
    queue.await.unwrap();
    let options = json!({ "exchange": "other", "topics": ["other"] });
    let proxy = Proxy::to(scene.broker.port);
    let publisher = publisher(&scene.url_by(proxy.port), options).unwrap();
    publish(&publisher, &batch("r1", 1)).await.unwrap();
    assert_eq!(client.consume("other.sample").await.next_resource().await, "r1");
    // A second connection does not log it again.
    proxy.set(Network::Cut);
    failure(&publisher, &batch("r2", 1)).await;
    proxy.set(Network::Normal);
    deliver(&publisher, &batch("r2", 1)).await;
    let mut text = String::new();
    for (level, line) in log::lines_with("`other") {
        assert_eq!(level, Level::WARN, "{line}");
        writeln!(text, "{line}").unwrap();
    }
    insta::assert_snapshot!(text, @r#"
    nephoscope_amqp::link: message=the exchange `other` exists with other properties and is used unchanged: set `durable`, `auto_delete` and `quorum` like its consumers publisher="test"
    nephoscope_amqp::link: message=the queue `other.sample` exists with other properties and is used unchanged: set `durable`, `auto_delete` and `quorum` like its consumers publisher="test"
    "#);
}

async fn durable_and_quorum_queues_are_declared(scene: Scene) {
    for (topic, options) in [
        ("plain", json!({})),
        ("durable", json!({ "durable": true })),
        ("quorum", json!({ "quorum": true })),
        ("fleeting", json!({ "auto_delete": true })),
    ] {
        let mut options = options;
        options["topics"] = json!([topic]);
        options["exchange"] = json!(topic);
        let publisher = scene.publisher(options);
        publish(&publisher, &batch("r1", 1)).await.unwrap();
    }
    let list = ["-p", scene.vhost, "--no-table-headers"];
    let mut queues = list.to_vec();
    queues.splice(0..0, ["list_queues"]);
    queues.extend(["name", "durable", "auto_delete", "type", "arguments"]);
    let mut exchanges = list.to_vec();
    exchanges.splice(0..0, ["list_exchanges"]);
    exchanges.extend(["name", "type", "durable", "auto_delete"]);
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().filter(|line| !line.contains("amq.")).collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    insta::assert_snapshot!(sorted(scene.broker.control(&queues).await), @r#"
    durable.sample	true	false	classic	[]
    fleeting.sample	false	true	classic	[]
    plain.sample	false	false	classic	[]
    quorum.sample	true	false	quorum	[{"x-queue-type","quorum"}]
    "#);
    insta::assert_snapshot!(sorted(scene.broker.control(&exchanges).await), @r"
    	direct	true	false
    durable	topic	true	false
    fleeting	topic	false	true
    plain	topic	false	false
    quorum	topic	true	false
    ");
}

async fn a_virtual_host_that_is_deleted_and_created_again(scene: Scene) {
    let publisher = scene.publisher(json!(null));
    publish(&publisher, &batch("r1", 1)).await.unwrap();
    scene.broker.control(&["delete_vhost", scene.vhost]).await;
    let second = batch("r2", 1);
    let text = failure_with(&publisher, &second, "does not exist").await;
    insta::assert_snapshot!(scene.plain(&text), @"the broker at 127.0.0.1:PORT rejected the request, the virtual host `a_virtual_host_that_is_deleted_and_created_again` does not exist, create it or correct the path of `url`: NOT_ALLOWED - vhost a_virtual_host_that_is_deleted_and_created_again not found");
    scene.broker.add_vhosts(&[scene.vhost]).await;
    deliver(&publisher, &second).await;
    let client = scene.client().await;
    assert_eq!(client.consume(QUEUE).await.next_resource().await, "r2");
}

async fn a_user_that_is_changed(scene: Scene) {
    let (broker, vhost) = (&scene.broker, scene.vhost);
    broker.control(&["add_user", "changing", CANARY]).await;
    let grant = ["set_permissions", "-p", vhost, "changing", ".*", ".*", ".*"];
    broker.control(&grant).await;
    let url = format!("rabbit://changing:{CANARY}@127.0.0.1:{}/{vhost}", broker.port);
    let publisher = publisher(&url, json!(null)).unwrap();
    publish(&publisher, &batch("r1", 1)).await.unwrap();

    broker.control(&["change_password", "changing", "another"]).await;
    let leave = ["close_all_user_connections", "changing", "test"];
    broker.control(&leave).await;
    let second = batch("r2", 1);
    let text = failure_with(&publisher, &second, "may not log in").await;
    insta::assert_snapshot!(scene.plain(&text), @"the broker at 127.0.0.1:PORT rejected the request, the user `changing` may not log in, check user and password in `url`, or `sasl`: ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.");
    broker.control(&["change_password", "changing", CANARY]).await;
    deliver(&publisher, &second).await;

    broker.control(&["delete_user", "changing"]).await;
    let third = batch("r3", 1);
    let text = failure_with(&publisher, &third, "may not log in").await;
    assert!(!text.contains(CANARY), "{text}");
    broker.control(&["add_user", "changing", CANARY]).await;
    broker.control(&grant).await;
    deliver(&publisher, &third).await;
}

async fn missing_permissions(scene: Scene) {
    let (broker, vhost) = (&scene.broker, scene.vhost);
    broker.control(&["add_user", "poor", "poor"]).await;
    let url = format!("amqp://poor:poor@127.0.0.1:{}/{vhost}", broker.port);
    let publisher = publisher(&url, json!(null)).unwrap();
    let batch = batch("r1", 1);
    let text = failure(&publisher, &batch).await;
    insta::assert_snapshot!(scene.plain(&text), @"the broker at 127.0.0.1:PORT rejected the request, give the user `poor` access to the virtual host `missing_permissions`, or correct the path of `url`: NOT_ALLOWED - access to vhost 'missing_permissions' refused for user 'poor'");
    broker
        .control(&["set_permissions", "-p", vhost, "poor", "^$", ".*", ".*"])
        .await;
    // All texts contain the name of the virtual host, even that of an attempt that began earlier.
    let text = failure_with(&publisher, &batch, "permission to configure").await;
    insta::assert_snapshot!(scene.plain(&text), @"the broker at 127.0.0.1:PORT rejected the request, give the user `poor` permission to configure, write and read in the virtual host `missing_permissions`: ACCESS_REFUSED - access to exchange 'ceilometer' in vhost 'missing_permissions' refused for user 'poor'");
    broker
        .control(&["set_permissions", "-p", vhost, "poor", ".*", ".*", ".*"])
        .await;
    deliver(&publisher, &batch).await;
}

async fn a_network_that_breaks(scene: Scene) {
    let proxy = Proxy::to(scene.broker.port);
    let publisher = publisher(&scene.url_by(proxy.port), json!(null)).unwrap();
    publish(&publisher, &batch("r1", 1)).await.unwrap();
    proxy.set(Network::Cut);
    let second = batch("r2", 1);
    let failures = [
        failure(&publisher, &second).await,
        failure(&publisher, &second).await,
    ];
    let address = format!("127.0.0.1:{}", proxy.port);
    assert!(
        failures.iter().all(|text| text.contains(&address)),
        "{failures:?}"
    );
    proxy.set(Network::Normal);
    deliver(&publisher, &second).await;
    let client = scene.client().await;
    let mut arrivals = client.consume(QUEUE).await;
    assert_eq!(arrivals.next_resource().await, "r1");
    assert_eq!(arrivals.next_resource().await, "r2");
}

async fn a_network_that_hangs(scene: Scene) {
    let proxy = Proxy::to(scene.broker.port);
    let options = json!({ "confirm_timeout": "500ms", "connect_timeout": "500ms" });
    let publisher = publisher(&scene.url_by(proxy.port), options).unwrap();
    deliver(&publisher, &batch("r1", 1)).await;
    proxy.set(Network::HalfOpen);
    let second = batch("r2", 1);
    let plain = |text: String| text.replace(&proxy.port.to_string(), "PORT");
    insta::assert_snapshot!(plain(failure_with(&publisher, &second, "confirm").await), @"the broker at 127.0.0.1:PORT did not confirm the batch within 500ms (`confirm_timeout`)");
    insta::assert_snapshot!(plain(failure_with(&publisher, &second, "ready").await), @"the broker at 127.0.0.1:PORT was not ready within 500ms (`connect_timeout`)");
    proxy.set(Network::Normal);
    deliver(&publisher, &second).await;
    let client = scene.client().await;
    let mut arrivals = client.consume(QUEUE).await;
    // Messages that were in flight when the network hung may arrive, too.
    while arrivals.next_resource().await != "r2" {}
}

async fn a_hanging_idle_connection_is_closed(scene: Scene) {
    let proxy = Proxy::to(scene.broker.port);
    let publisher = publisher(&scene.url_by(proxy.port), json!({ "heartbeat": "1s" })).unwrap();
    publish(&publisher, &batch("r1", 1)).await.unwrap();
    proxy.set(Network::HalfOpen);
    proxy.a_connection_ends().await;
    proxy.set(Network::Normal);
    log::logged(["no connection to the broker", &format!(":{}", proxy.port)]).await;
    // Nothing was sent to the hanging connection, and so nothing fails.
    publish(&publisher, &batch("r2", 1)).await.unwrap();
}

async fn unreachable_hosts_are_skipped(scene: Scene) {
    let dead = Proxy::to(scene.broker.port);
    dead.set(Network::Cut);
    let url = format!(
        "rabbit://guest:guest@127.0.0.1:{},guest:guest@127.0.0.1:{},guest:guest@127.0.0.1:{}/{}",
        dead.port, scene.broker.port, dead.port, scene.vhost
    );
    let publisher = publisher(&url, json!(null)).unwrap();
    // In any order of the hosts, no round over all of them fails.
    publish(&publisher, &batch("r1", 1)).await.unwrap();
}

async fn a_server_of_another_protocol_is_reported(scene: Scene) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // The client may have closed the connection.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            // Lets the client read the response before the end.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let publisher = publisher(&scene.url_by(port), json!(null)).unwrap();
    let text = failure(&publisher, &batch("r1", 1)).await;
    insta::assert_snapshot!(text.replace(&port.to_string(), "PORT"), @"the connection to the broker at 127.0.0.1:PORT broke: the server does not speak AMQP 0-9-1, check the host and the port");
}

async fn tls_with_valid_and_invalid_authorities(scene: Scene) {
    let certificates = &scene.broker.certificates;
    let (ca, other) = (&certificates.ca, &certificates.other_ca);
    let port = scene.broker.tls_port;
    let url = |host: &str| format!("amqps://guest:guest@{host}:{port}/{}", scene.vhost);
    let tls = |host: &str, tls: Value| publisher(&url(host), json!({ "tls": tls })).unwrap();
    let batch = batch("r1", 1);

    publish(&tls("localhost", json!({ "ca": ca })), &batch)
        .await
        .unwrap();
    // The certificate contains only localhost.
    let any_name = json!({ "ca": ca, "verify_hostname": false });
    publish(&tls("127.0.0.1", any_name), &batch).await.unwrap();

    let mut text = String::new();
    let key = &certificates.server_key;
    for (host, options) in [
        ("localhost", json!({ "ca": other })),
        ("localhost", json!({ "ca": other, "verify_hostname": false })),
        ("localhost", json!({})),
        ("127.0.0.1", json!({ "ca": ca })),
        ("localhost", json!({ "ca": "/no/such/file" })),
        ("localhost", json!({ "ca": key })),
        ("localhost", json!({ "ca": ca, "certificate": ca, "key": key })),
    ] {
        let failed = scene.plain(&failure(&tls(host, options), &batch).await);
        let folder = ca.parent().unwrap().display().to_string();
        writeln!(text, "{}", failed.replace(&folder, "FOLDER")).unwrap();
    }
    insta::assert_snapshot!(text, @r#"
    TLS with the broker at localhost:TLS-PORT failed, check `tls` and the broker's certificate: invalid peer certificate: UnknownIssuer
    TLS with the broker at localhost:TLS-PORT failed, check `tls` and the broker's certificate: invalid peer certificate: UnknownIssuer
    TLS with the broker at localhost:TLS-PORT failed, check `tls` and the broker's certificate: invalid peer certificate: UnknownIssuer
    TLS with the broker at 127.0.0.1:TLS-PORT failed, check `tls` and the broker's certificate: invalid peer certificate: certificate not valid for name "127.0.0.1"; certificate is only valid for DnsName("localhost")
    cannot use `tls.ca`: /no/such/file: No such file or directory (os error 2)
    cannot use `tls.ca`: FOLDER/server.key contains no certificate in PEM form
    cannot use `tls.certificate`: keys may not be consistent: KeyMismatch
    "#);

    // The client certificate determines the user.
    scene.broker.control(&["add_user", "agent", "unused"]).await;
    let grant = ["set_permissions", "-p", scene.vhost, "agent", ".*", ".*", ".*"];
    scene.broker.control(&grant).await;
    let options = json!({
        "sasl": "external",
        "tls": { "ca": ca, "certificate": certificates.client, "key": certificates.client_key },
    });
    let url = format!("amqps://localhost:{port}/{}", scene.vhost);
    publish(&publisher(&url, options).unwrap(), &batch).await.unwrap();
}

async fn a_publisher_outlives_its_first_runtime(scene: Scene) {
    let publisher = scene.publisher(json!(null));
    let elsewhere = publisher.clone();
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let outcome = runtime.block_on(elsewhere.publish(batch("r1", 1)));
        drop(runtime);
        ended.send(outcome).unwrap();
    });
    let accepted = timeout(PATIENCE, end).await.unwrap().unwrap().unwrap();
    assert_eq!(accepted.rejected(), 0);
    publish(&publisher, &batch("r2", 1)).await.unwrap();
    let client = scene.client().await;
    let mut arrivals = client.consume(QUEUE).await;
    assert_eq!(arrivals.next_resource().await, "r1");
    assert_eq!(arrivals.next_resource().await, "r2");
}

async fn a_publish_may_be_dropped(scene: Scene) {
    let publisher = scene.publisher(json!(null));
    for number in 0..50 {
        // At various points of the exchange.
        let limit = Duration::from_micros(number * 40);
        let _ = timeout(limit, publisher.publish(batch("dropped", 1))).await;
    }
    publish(&publisher, &batch("r1", 1)).await.unwrap();
    timeout(PATIENCE, publisher.close()).await.unwrap();
    insta::assert_snapshot!(failure(&publisher, &batch("r2", 1)).await, @"the publisher is closed");
    let client = scene.client().await;
    let mut arrivals = client.consume(QUEUE).await;
    while arrivals.next_resource().await != "r1" {}
    let delete = client
        .channel
        .queue_delete(QUEUE.into(), QueueDeleteOptions::default());
    assert_eq!(delete.await.unwrap(), 0, "no message follows the last batch");
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}
