//! An agent that publishes to a broker through a proxy that can cut the network.

use nephoscope_tests::rabbitmq::{Broker, Network, Proxy};
use nephoscope_tests::{Finished, Lab, Program};
use serde_json::Value;

use crate::account::{Account, Arrived};
use crate::independent;

/// A lab with an agent whose publisher `bus` reaches the broker through the proxy.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) network: Proxy,
}

/// The parameters of a scene.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The publisher's key `spool`.
    pub(crate) spool: String,
    /// The samples in memory.
    pub(crate) queue: usize,
    pub(crate) batch_size: usize,
    /// The resources that are polled each second.
    pub(crate) resources: usize,
    /// Further keys of `agent`.
    pub(crate) agent: String,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            spool: "{}".to_owned(),
            queue: 100,
            batch_size: 50,
            resources: 300,
            agent: String::new(),
        }
    }
}

impl Scene {
    pub(crate) async fn new(broker: &Broker, setting: &Setting) -> Self {
        let scene = Self {
            lab: Lab::new(),
            network: Proxy::to(broker.port),
        };
        scene.configure(setting);
        scene
    }

    /// Replaces the configuration atomically.
    pub(crate) fn configure(&self, setting: &Setting) {
        let Setting {
            spool,
            queue,
            batch_size,
            resources,
            agent,
        } = setting;
        let port = self.network.port;
        let text = format!(
            "agent: {{namespaces: [synthetic], id: test, state_dir: $LAB/state, shutdown_timeout: 20s, {agent}}}\n\
             notifier:\n  queue: {queue}\n  batch_size: {batch_size}\n  publishers:\n  \
             - {{name: bus, url: \"amqp://guest:guest@127.0.0.1:{port}/\", durable: true, connect_timeout: 2s, \
             confirm_timeout: 5s, spool: {spool}}}\n\
             plugins: {{synthetic: {{latency: 20ms}}}}\n\
             sources: [{{name: s, interval: 1, meters: [synthetic.cycle], discovery: [\"synthetic://{resources}\"]}}]\n"
        );
        self.lab.replace("polling.yaml", &text);
    }

    pub(crate) fn start(&self) -> Program {
        self.lab.run()
    }

    /// Runs `nephoscope spool`.
    pub(crate) fn spool(&self, arguments: &[&str]) -> Finished {
        let all: Vec<&str> = ["spool"].iter().chain(arguments).copied().collect();
        self.lab.nephoscope(&all).finish()
    }

    /// The output of `nephoscope spool` about the publisher `bus`.
    pub(crate) fn listed(&self) -> Value {
        let finished = self.spool(&["bus", "--format", "json"]).expect(0);
        serde_json::from_str(&finished.stdout).unwrap()
    }

    /// Drains the spool without an agent, then consumes all messages of the broker.
    pub(crate) async fn drain_and_take(&self, broker: &Broker) -> Arrived {
        self.network.set(Network::Normal);
        self.spool(&["--drain"]).expect(0);
        Arrived::of(&independent::take_all(broker).await)
    }
}

/// The only publisher in `/api/v1/publishers`.
pub(crate) fn publisher(program: &Program) -> Value {
    program.json("/api/v1/publishers")["publishers"][0].clone()
}

/// Waits until the publisher has a property. It is checked after each line of the log.
pub(crate) fn until(program: &mut Program, what: &str, has: impl Fn(&Value) -> bool) -> Value {
    program.until(what, |program| Some(publisher(program)).filter(&has))
}

/// Waits until all samples are delivered, for as long as their number decreases.
pub(crate) fn until_delivered(program: &mut Program) {
    let batches = |publisher: &Value| publisher["spool"]["batches"].as_u64();
    let is_done = |publisher: &Value| batches(publisher) == Some(0) && publisher["state"] != "retrying";
    let mut seen = publisher(program);
    while !is_done(&seen) {
        let before = batches(&seen);
        seen = until(program, "fewer queued samples", |publisher| {
            is_done(publisher) || batches(publisher) < before
        });
    }
}

/// Stops an agent that must lose nothing, and reads its log.
pub(crate) fn stop(program: Program, account: &mut Account) -> Finished {
    let finished = program.stop().expect(0);
    assert!(
        finished.stderr.contains("stopped dropped_samples=0"),
        "{finished}"
    );
    account.read(&finished.stderr);
    finished
}
