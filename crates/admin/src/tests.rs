//! Tests of the admin API with a real engine over real sockets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Local;
use nephoscope_model::{
    Batch, Encoding, JsonLines, Meter, MeterDef, PayloadKind, Resource, Subject, Timestamp,
};
use nephoscope_notifier::spool::{Spool, SpoolMode, SpoolOptions};
use nephoscope_notifier::{Notifier, NotifierOptions, PublisherSetup, PublisherStatus, Selectors};
use nephoscope_plugin::{
    Accepted, Discovery, DiscoveryRun, Failure, PartitionMode, PollRun, Pollster, PublishError, Publisher,
    Scope, async_trait,
};
use nephoscope_polling::clock::SimulatedClock;
use nephoscope_polling::engine::{Engine, EngineOptions, EngineParts};
use nephoscope_polling::limits::LimitOptions;
use nephoscope_polling::plugins::{LoadedDiscovery, LoadedPollster, Plugins};
use nephoscope_polling::ticker::IntervalTicker;
use nephoscope_sources::{DiscoveryUrl, MeterFilter, Position, Schedule, Source};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::listener::Listener;
use crate::routes::Surface;
use crate::server::serve;
use crate::{AdminState, AgentClient, ClientError, Handles, Phase, ROUTES, Reach};

/// The timeout for expected events.
const PATIENCE: Duration = Duration::from_secs(60);

/// A secret that must not appear in responses.
const CANARY: &str = "canary-7f3a";

/// Discovers two resources with a password in their keys, and fails with a message that contains the password.
struct Web;

#[async_trait]
impl Discovery for Web {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        let key = |place: &str| Resource::new(format!("https://u:{CANARY}@{place}/"));
        run.send(vec![key("good"), key("bad")]).await?;
        Err(Failure::transient(format!(
            "https://u:{CANARY}@list/ answered 500"
        )))
    }
}

/// Polls the good resource, and fails permanently for the bad one.
struct Answers;

#[async_trait]
impl Pollster for Answers {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        while let Some(page) = run.next_page().await {
            for resource in page.iter() {
                if resource.key().contains("bad") {
                    run.fail(
                        resource,
                        Failure::permanent(format!("{} is gone", resource.key())),
                    );
                    continue;
                }
                let subject = Subject::new("good").shared();
                let mut report = run.report(resource);
                report.add("web.answers", &subject, 1u64);
                report.send().await?;
            }
        }
        Ok(())
    }
}

/// A publisher that always fails.
struct Away;

#[async_trait]
impl Publisher for Away {
    async fn publish(&self, _: Arc<Batch>) -> Result<Accepted, PublishError> {
        Err(PublishError::retry(format!(
            "amqp://u:{CANARY}@h/ refused the connection"
        )))
    }
}

/// A publisher that accepts all samples.
struct Taken;

#[async_trait]
impl Publisher for Taken {
    async fn publish(&self, _: Arc<Batch>) -> Result<Accepted, PublishError> {
        Ok(Accepted::all())
    }
}

struct Bench {
    engine: Engine,
    state: AdminState,
    folder: tempfile::TempDir,
    stop: CancellationToken,
}

fn plugins() -> Plugins {
    let mut plugins = Plugins::default();
    plugins.discoveries.insert(
        "web".into(),
        Arc::new(LoadedDiscovery {
            name: "web".into(),
            scope: Scope::Host,
            partition: PartitionMode::Resource,
            calls: Arc::default(),
            plugin: Arc::new(Web),
        }),
    );
    plugins.pollsters.push(Arc::new(LoadedPollster {
        name: "web".into(),
        namespaces: Arc::default(),
        meters: vec![Arc::new(Meter::from(&MeterDef::gauge(
            "web.answers",
            "answer",
            "a double",
        )))],
        default_discovery: None,
        partition: None,
        endpoint: None,
        calls: Arc::default(),
        plugin: Arc::new(Answers),
        names: None,
    }));
    plugins
        .unavailable
        .push(("libvirt".into(), "there is no libvirt.so.0".into()));
    plugins
}

fn source() -> Source {
    Source {
        name: "answers".into(),
        schedule: Schedule::every(Duration::from_secs(3600), Duration::ZERO).unwrap(),
        meters: MeterFilter::new(["web.*"]).unwrap(),
        resources: Vec::new(),
        discovery: vec![DiscoveryUrl::parse(&format!("web://u:{CANARY}@h/list"))],
        partition: None,
        timeout: None,
        position: Position {
            file: Arc::new(PathBuf::from("polling.yaml")),
            line: 1,
        },
    }
}

impl Bench {
    /// Starts an agent without a configuration. The clock is just after an edge of the source's schedule.
    fn new() -> Self {
        let runtime = tokio::runtime::Handle::current();
        let setup = |name: &str, publisher: Arc<dyn Publisher>| PublisherSetup {
            name: name.into(),
            url_shown: format!("amqp://u:{CANARY}@{name}/"),
            publisher,
            queue: 1000,
            spool: None,
            selectors: Selectors::default(),
        };
        let publishers = vec![setup("away", Arc::new(Away)), setup("taken", Arc::new(Taken))];
        let notifier = Notifier::start(publishers, NotifierOptions::default(), &runtime);
        let engine = Engine::start(
            EngineOptions {
                agent_id: "agent-1".into(),
                host: "node-1".into(),
                sample_source: "openstack".into(),
                batch_size: 50,
                flush_interval: Duration::from_secs(1),
                limits: LimitOptions::default(),
                splay: false,
                shared_in_progress: true,
                state_dir: None,
            },
            EngineParts {
                clock: Arc::new(SimulatedClock::new(Timestamp::from_millis(1_767_322_801_000))),
                coordinator: Arc::new(Local),
                notifier: notifier.clone(),
                runtime: runtime.clone(),
                plugin_runtime: runtime,
            },
            IntervalTicker::default(),
        );
        let state = AdminState::new(Handles {
            version: "1.2.3",
            engine: engine.clone(),
            notifier,
            pool: None,
        });
        Self {
            engine,
            state,
            folder: tempfile::tempdir().unwrap(),
            stop: CancellationToken::new(),
        }
    }

    /// Starts an agent, and waits until its first cycle has ended and its publishers have its samples.
    async fn after_a_cycle() -> Self {
        let bench = Self::new();
        let mut records = bench.engine.watch();
        bench.engine.apply(&[source()], Arc::new(plugins())).await;
        bench.state.set_phase(Phase::Running);
        timeout(PATIENCE, records.recv())
            .await
            .expect("a cycle ends")
            .unwrap();
        timeout(PATIENCE, async {
            let settled = |status: &PublisherStatus| match &*status.name {
                "away" => status.counts.retries > 0,
                _ => status.counts.delivered_samples > 0,
            };
            while !bench.state.notifier().status().iter().all(settled) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("one delivery fails, the other succeeds");
        bench
    }

    fn full() -> Surface {
        Surface::Full {
            host_names: vec!["node-1".into()],
            changes: true,
        }
    }

    async fn on_unix(&self) -> (PathBuf, JoinHandle<()>) {
        let path = self.folder.path().join("admin.sock");
        let listener = Listener::unix(&path).unwrap();
        let server = tokio::spawn(serve(
            listener,
            Self::full(),
            self.state.clone(),
            self.stop.clone(),
        ));
        (path, server)
    }

    async fn on_tcp(&self, surface: Surface) -> std::net::SocketAddr {
        let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
        let address = listener.address().strip_prefix("tcp:").unwrap().parse().unwrap();
        tokio::spawn(serve(listener, surface, self.state.clone(), self.stop.clone()));
        address
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A response.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .expect("a response")
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

async fn ask(path: &Path, target: &str) -> Answer {
    exchange(UnixStream::connect(path).await.unwrap(), &get(target, "")).await
}

#[tokio::test]
async fn an_agent_is_ready_after_its_configuration_is_applied() {
    let bench = Bench::new();
    let (path, _server) = bench.on_unix().await;
    assert_eq!(
        ask(&path, "/healthz").await.status,
        200,
        "the agent is alive from the start"
    );
    let before = ask(&path, "/readyz").await;
    assert_eq!(
        (before.status, before.json()["ready"].as_bool()),
        (503, Some(false))
    );
    assert_eq!(before.json()["reasons"][0]["code"], "starting");
    bench.engine.apply(&[source()], Arc::new(plugins())).await;
    bench.state.set_phase(Phase::Running);
    assert_eq!(ask(&path, "/readyz").await.status, 200);
    bench.state.set_rejected(Some(3));
    let rejected = ask(&path, "/readyz").await;
    assert_eq!(rejected.status, 200, "the previous configuration stays in use");
    assert!(
        rejected.body.contains("configuration_rejected"),
        "{}",
        rejected.body
    );
    bench.state.set_phase(Phase::Stopping);
    assert_eq!(ask(&path, "/readyz").await.status, 503);
}

#[tokio::test]
async fn the_responses_show_the_state_of_the_agent() {
    let bench = Bench::after_a_cycle().await;
    let (path, _server) = bench.on_unix().await;

    let ready = ask(&path, "/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    let codes: Vec<_> = ready.json()["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        codes,
        ["discovery_failed", "publisher_retrying", "plugin_unavailable"]
    );

    let tasks = ask(&path, "/api/v1/tasks").await.json();
    let task = &tasks["tasks"][0];
    assert_eq!(
        (&task["schedule"], &task["schedule_id"]),
        (&"every 1h".into(), &"every:3600:0".into())
    );
    assert_eq!(
        (&task["sources"][0], &task["runs"][0]["meters"][0]),
        (&"answers".into(), &"web.answers".into())
    );
    assert_eq!(task["cycles"], 1);

    let cycles = ask(&path, "/api/v1/cycles?limit=1").await.json();
    let cycle = &cycles["cycles"][0];
    assert_eq!(
        (&cycle["samples"], &cycle["failures"]["permanent"]),
        (&1.into(), &1.into())
    );
    assert_eq!(cycle["cycle"]["start"], "2026-01-02T03:00:00");
    assert_eq!(
        cycle["discovery_runs"][0]["failure"]["message"],
        "https://***@list/ answered 500"
    );

    let resources = ask(&path, "/api/v1/resources").await.json();
    let backed_off = &resources["backed_off"][0];
    assert_eq!(
        (&backed_off["pollster"], &backed_off["count"]),
        (&"web".into(), &1.into())
    );
    assert_eq!(backed_off["resources"][0]["key"], "https://***@bad/");
    assert_eq!(backed_off["resources"][0]["reason"], "https://***@bad/ is gone");
    assert_eq!(resources["discoveries"][0]["discovery"], "web://***@h/list");
    assert_eq!(resources["discoveries"][0]["failures"], 1);
    assert_eq!(resources["pollsters"][0]["samples"], 1);

    let publishers = ask(&path, "/api/v1/publishers").await.json();
    let away = &publishers["publishers"][0];
    assert_eq!(
        (&away["name"], &away["state"]),
        (&"away".into(), &"retrying".into())
    );
    assert_eq!(away["url"], "amqp://***@away/");
    assert_eq!(away["error"], "amqp://***@h/ refused the connection");
    assert_eq!(
        (&away["queue"]["samples"], &away["queue"]["limit_samples"]),
        (&1.into(), &1000.into())
    );
    assert_eq!(publishers["publishers"][1]["samples"]["delivered"], 1);
}

#[tokio::test]
async fn no_response_contains_a_secret() {
    let bench = Bench::after_a_cycle().await;
    let (path, _server) = bench.on_unix().await;
    for route in ROUTES.iter().filter(|route| route.reach != Reach::Change) {
        let answer = ask(&path, route.path).await;
        assert!(!answer.body.is_empty(), "{}", route.path);
        assert!(!answer.body.contains(CANARY), "{}: {}", route.path, answer.body);
    }
}

#[tokio::test]
async fn metrics_have_the_accepted_format() {
    let bench = Bench::after_a_cycle().await;
    let (path, _server) = bench.on_unix().await;
    let plain = ask(&path, "/metrics").await;
    assert!(
        plain.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        plain.head
    );
    assert!(
        plain
            .body
            .contains("\nnephoscope_poll_samples_total{pollster=\"web\"} 1\n"),
        "{}",
        plain.body
    );
    assert!(
        plain
            .body
            .contains("nephoscope_publisher_state{publisher=\"away\",state=\"retrying\"} 1\n"),
        "{}",
        plain.body
    );
    for series in [
        "cycle_duration_seconds_count{schedule=\"every 1h\"}",
        "poll_duration_seconds_count{pollster=\"web\"}",
        "discovery_duration_seconds_count{discovery=\"web://***@h/list\"}",
        "publish_duration_seconds_count{publisher=\"taken\"}",
    ] {
        let line = format!("\nnephoscope_{series} 1\n");
        assert!(plain.body.contains(&line), "{series}: {}", plain.body);
    }
    let accept = get(
        "/metrics",
        "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n",
    );
    let open = exchange(UnixStream::connect(&path).await.unwrap(), &accept).await;
    assert!(
        open.head
            .contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        open.head
    );
    assert!(open.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn unknown_paths_methods_and_queries_are_rejected_with_a_reason() {
    let bench = Bench::new();
    let (path, _server) = bench.on_unix().await;
    let missing = ask(&path, "/api/v1/member").await;
    assert_eq!(missing.status, 404);
    let routes: Vec<_> = ROUTES.iter().map(|route| Value::from(route.path)).collect();
    assert_eq!(missing.json()["routes"], Value::from(routes));
    let post = "POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let post = exchange(UnixStream::connect(&path).await.unwrap(), post).await;
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get"), "{}", post.head);
    let body = "GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx";
    assert_eq!(
        exchange(UnixStream::connect(&path).await.unwrap(), body)
            .await
            .status,
        413
    );
    for query in [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limits=1",
        "limit=1&limit=2",
    ] {
        assert_eq!(
            ask(&path, &format!("/api/v1/cycles?{query}")).await.status,
            400,
            "{query}"
        );
    }
}

/// A publisher that supports a spool and always fails.
struct Spooled;

#[async_trait]
impl Publisher for Spooled {
    async fn publish(&self, _: Arc<Batch>) -> Result<Accepted, PublishError> {
        Err(PublishError::retry("the broker is away"))
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        Some(Arc::new(JsonLines))
    }
}

impl Bench {
    /// Adds a publisher with samples in its spool.
    async fn with_a_spool() -> Self {
        let bench = Self::after_a_cycle().await;
        let path = bench.folder.path().join("spool");
        let options = SpoolOptions {
            mode: SpoolMode::Always,
            ..SpoolOptions::default()
        };
        let spool = Spool::open("bus".into(), path, options).await.unwrap();
        let setup = PublisherSetup {
            name: "bus".into(),
            url_shown: "amqp://***@h/".into(),
            publisher: Arc::new(Spooled),
            queue: 1000,
            spool: Some(spool),
            selectors: Selectors::default(),
        };
        let notifier = bench.state.notifier();
        notifier.reconfigure(vec![setup]).await;
        let batch = Batch::stored(JsonLines::ID, b"{}\n".to_vec(), PayloadKind::Samples, 7);
        drop(notifier.submit(Arc::new(batch)).await);
        let stored = async {
            while notifier.status()[0].spool.as_ref().unwrap().samples < 7 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, stored).await.expect("the batch is stored");
        bench
    }
}

async fn post(path: &Path, target: &str) -> Answer {
    let request = format!("POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    exchange(UnixStream::connect(path).await.unwrap(), &request).await
}

#[tokio::test]
async fn spools_are_drained_and_dropped_on_the_unix_socket() {
    let bench = Bench::with_a_spool().await;
    let (path, _server) = bench.on_unix().await;
    let spool = &ask(&path, "/api/v1/publishers").await.json()["publishers"][0]["spool"];
    assert_eq!(
        (&spool["samples"], &spool["mode"], &spool["low"], &spool["next"]),
        (&7.into(), &"always".into(), &1.into(), &2.into())
    );
    assert_eq!(
        spool["encodings"],
        serde_json::json!([
            {"encoding": "json-lines/1", "payload": "samples", "batches": 1, "samples": 7, "unsupported": false}
        ])
    );
    let drain = post(&path, "/api/v1/spool/drain?publisher=bus").await.json();
    assert_eq!(
        (
            &drain["publishers"][0]["samples"],
            &drain["publishers"][0]["until"]
        ),
        (&7.into(), &2.into())
    );
    let dropped = post(&path, "/api/v1/spool/drop?older_than=3600").await.json();
    assert_eq!(dropped["publishers"][0]["dropped_samples"], 0);
    for (target, status) in [
        ("/api/v1/spool/drain?publisher=another", 404),
        ("/api/v1/spool/drain?all=yes", 400),
        ("/api/v1/spool/drop", 400),
        ("/api/v1/spool/drop?older_than=-1", 400),
        ("/api/v1/publishers", 405),
    ] {
        assert_eq!(post(&path, target).await.status, status, "{target}");
    }
    let get = ask(&path, "/api/v1/spool/drain").await;
    assert_eq!(get.status, 405);
    assert!(get.head.contains("allow: post"), "{}", get.head);
}

#[tokio::test]
async fn nothing_can_be_changed_on_tcp() {
    let bench = Bench::with_a_spool().await;
    let read_only = Surface::Full {
        host_names: Vec::new(),
        changes: false,
    };
    let address = bench.on_tcp(read_only).await;
    let status = async |method: &str, path: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        exchange(TcpStream::connect(address).await.unwrap(), &request)
            .await
            .status
    };
    for route in ROUTES.iter().filter(|route| route.reach == Reach::Change) {
        assert_eq!(status("POST", route.path).await, 405, "{}", route.path);
        assert_eq!(status("GET", route.path).await, 404, "{}", route.path);
    }
}

#[tokio::test]
async fn unknown_host_names_are_rejected_on_tcp() {
    let bench = Bench::new();
    let address = bench.on_tcp(Bench::full()).await;
    let status = async |host: String| {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n");
        exchange(TcpStream::connect(address).await.unwrap(), &request)
            .await
            .status
    };
    assert_eq!(status(address.to_string()).await, 200);
    assert_eq!(status("node-1".into()).await, 200);
    assert_eq!(status(format!("rebound.example:{}", address.port())).await, 421);
}

#[tokio::test]
async fn the_metrics_listener_serves_only_metrics_under_any_name() {
    let bench = Bench::new();
    let address = bench.on_tcp(Surface::MetricsOnly).await;
    let status = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: node-1.metrics.example\r\n\r\n");
        exchange(TcpStream::connect(address).await.unwrap(), &request)
            .await
            .status
    };
    assert_eq!(
        (
            status("/metrics").await,
            status("/healthz").await,
            status("/readyz").await
        ),
        (200, 200, 503)
    );
    for route in ROUTES.iter().filter(|route| route.reach != Reach::Metrics) {
        assert_eq!(status(route.path).await, 404, "{}", route.path);
    }
}

#[tokio::test]
async fn slow_clients_do_not_block_others() {
    let bench = Bench::new();
    let (path, _server) = bench.on_unix().await;
    let mut slow = Vec::new();
    for _ in 1..crate::server::MAX_CONNECTIONS {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"GET /healthz HT").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(ask(&path, "/healthz").await.status, 200);
    drop(slow);
}

#[tokio::test]
async fn invalid_requests_are_rejected() {
    let bench = Bench::new();
    let (path, _server) = bench.on_unix().await;
    let large = get("/healthz", &format!("x: {}\r\n", "x".repeat(100_000)));
    for request in ["hello\r\n\r\n", "GET /healthz HTTP/1.1\r\nhost: a b\r\nx\r\n\r\n"] {
        let answer = exchange(UnixStream::connect(&path).await.unwrap(), request).await;
        assert!(answer.status >= 400, "{request}: {}", answer.status);
    }
    let mut stream = UnixStream::connect(&path).await.unwrap();
    // The server may close the connection before all is written.
    let _ = stream.write_all(large.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the connection ends");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(ask(&path, "/healthz").await.status, 200, "the server still runs");
}

#[tokio::test]
async fn a_stop_ends_the_server_despite_open_requests_and_removes_the_socket() {
    let bench = Bench::new();
    let (path, server) = bench.on_unix().await;
    let mut idle = UnixStream::connect(&path).await.unwrap();
    idle.write_all(b"GET /healthz HT").await.unwrap();
    assert_eq!(ask(&path, "/healthz").await.status, 200);
    bench.stop.cancel();
    timeout(PATIENCE, server).await.expect("the server ends").unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn the_client_parses_the_responses_of_the_server() {
    let bench = Bench::with_a_spool().await;
    let (path, _server) = bench.on_unix().await;
    let client = AgentClient::new(path);
    let publishers = client.publishers().await.unwrap();
    let spool = publishers[0].spool.as_ref().unwrap();
    assert_eq!(
        (publishers[0].name.as_str(), spool.samples, spool.low),
        ("bus", 7, 1)
    );
    let drains = client.drain(Some("bus")).await.unwrap();
    assert_eq!((drains[0].samples, drains[0].until), (7, 2));
    let drops = client.drop_old(Duration::from_secs(3600), None).await.unwrap();
    assert_eq!((drops[0].name.as_str(), drops[0].dropped_samples), ("bus", 0));
    let error = client.drain(Some("another")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Status { status: 404, .. }),
        "{error}"
    );
}
