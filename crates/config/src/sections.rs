//! The sections of a configuration that are our own: `agent`, `coordination`, `notifier` and `plugins`.
//!
//! The doc comments of fields are the texts of the JSON schema and of the reference: they speak to users.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use nephoscope_plugin::Secret;
use nephoscope_sources::Source;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::coordination::Coordination;
use crate::duration::HumanDuration;
use crate::format;
use crate::redact::hide_userinfo;
use crate::spool::Spool;

/// A whole configuration, checked. Its parts can be compared with those of another to see what a reload changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who this agent is and how it runs.
    pub agent: Agent,
    /// How agents divide shared resources.
    pub coordination: Coordination,
    /// Where samples go.
    pub notifier: Notifier,
    /// Options by plugin family; families that are not named here have none.
    pub plugins: BTreeMap<String, Options>,
    /// What is polled, in the order of the file.
    pub sources: Vec<Source>,
}

/// Who this agent is and how it runs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// The name of this agent, different from that of every other agent. Default: the host name.
    #[schemars(length(min = 1, max = 128), extend("format" = "identifier"))]
    pub id: Option<String>,
    /// The name of this host: it selects the host's own instances and stands in resource ids. Default: the host name.
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Which groups of plugins to load, as `--namespaces` does. Namespaces are for example `compute`, `central` and `host`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub namespaces: Vec<String>,
    /// The `source` of every sample.
    pub sample_source: String,
    /// The folder for what has to outlive a restart. Default: `/var/lib/nephoscope` for root, otherwise
    /// `$XDG_STATE_HOME/nephoscope` or `~/.local/state/nephoscope`.
    #[schemars(extend("format" = "path"))]
    pub state_dir: Option<PathBuf>,
    /// Where the admin API listens: `unix:PATH`, `unix:` for `admin.sock` in `state_dir`, `tcp:HOST:PORT`, or `off`.
    #[schemars(extend("format" = "admin"))]
    pub admin: String,
    /// Where `/metrics`, `/healthz` and `/readyz` alone are served over HTTP, as `HOST:PORT`. Default: nowhere.
    #[schemars(extend("format" = "address"))]
    pub metrics: Option<String>,
    /// Whether changes of the configuration files are noticed and applied. SIGHUP applies them in any case.
    pub watch: bool,
    /// How long a stop may take: running polls finish and samples are delivered as far as this allows.
    pub shutdown_timeout: HumanDuration,
    /// What is logged to standard error.
    pub log: Log,
    /// Whether the starts of this host's own cycles are spread over hosts, by at most a tenth of the interval and at most 30 s.
    /// It changes no timestamps' order and no cycle's identity.
    pub splay: bool,
    /// Bounds on what runs at once.
    pub limits: Limits,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            id: None,
            host: None,
            namespaces: vec!["compute".to_owned(), "central".to_owned()],
            sample_source: "openstack".to_owned(),
            state_dir: None,
            admin: "unix:".to_owned(),
            metrics: None,
            watch: true,
            shutdown_timeout: HumanDuration::from_secs(30),
            log: Log::default(),
            splay: true,
            limits: Limits::default(),
        }
    }
}

/// Where the admin API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Nowhere.
    Off,
    /// At a unix socket.
    Unix(PathBuf),
    /// At `host:port`.
    Tcp(String),
}

impl Agent {
    /// The agent's name: as configured, otherwise made of the host name.
    pub fn id(&self) -> String {
        self.id.clone().unwrap_or_else(|| {
            let allowed = |c: char| {
                if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                    c
                } else {
                    '-'
                }
            };
            self.host().chars().take(128).map(allowed).collect()
        })
    }

    /// The host's name: as configured, otherwise that of the machine.
    pub fn host(&self) -> String {
        self.host.clone().unwrap_or_else(|| {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            if name.is_empty() {
                "localhost".to_owned()
            } else {
                name
            }
        })
    }

    /// The folder for what has to outlive a restart: as configured, otherwise the user's.
    pub fn state_dir(&self) -> PathBuf {
        const NAME: &str = "nephoscope";
        if let Some(folder) = &self.state_dir {
            return folder.clone();
        }
        let absolute = |variable: &str| {
            std::env::var_os(variable)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        if !rustix::process::geteuid().is_root() {
            if let Some(folder) = absolute("XDG_STATE_HOME") {
                return folder.join(NAME);
            }
            if let Some(home) = absolute("HOME") {
                return home.join(".local/state").join(NAME);
            }
        }
        PathBuf::from("/var/lib").join(NAME)
    }

    /// Where the admin API listens.
    pub fn admin(&self) -> Admin {
        match self.admin.split_once(':') {
            Some(("unix", "")) => Admin::Unix(self.state_dir().join("admin.sock")),
            Some(("unix", path)) => Admin::Unix(path.into()),
            Some(("tcp", address)) => Admin::Tcp(address.to_owned()),
            _ => Admin::Off,
        }
    }
}

/// What is logged to standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important level that is logged.
    pub level: LogLevel,
    /// One line of text or one JSON object for each event.
    pub format: LogFormat,
}

/// How important a log event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Data is lost, or an operator has to act.
    Error,
    /// Something went wrong and was recovered from.
    Warn,
    /// A change of state.
    #[default]
    Info,
    /// Details of every cycle.
    Debug,
    /// Everything.
    Trace,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// Lines for programs.
    Json,
}

/// Bounds on what runs at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many pollster runs there are at once in the whole agent. The others wait.
    #[schemars(range(min = 1, max = 10_000))]
    pub polls: usize,
    /// How many pollster runs use one endpoint of a service at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub endpoint: usize,
    /// How many resources one listing may have. A listing that goes on is cut off there and counted.
    #[schemars(range(min = 1))]
    pub listing: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            polls: 64,
            endpoint: 8,
            listing: 2_000_000,
        }
    }
}

/// Where samples go.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notifier {
    /// How many samples go into one batch, which is published as one message.
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_size: usize,
    /// How long samples wait for their batch to fill, at most `1h`. A batch that does not is published as it is.
    #[schemars(extend("maximum" = 3600))]
    pub batch_age: HumanDuration,
    /// How many samples wait in memory for each publisher. When that many wait, the oldest go to its spool; without a spool they are
    /// dropped, counted and logged.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub queue: usize,
    /// Signs every sample, as ceilometer's `telemetry_secret` does. Without it signatures are empty.
    pub signing_secret: Option<Secret>,
    /// What the spools of publishers are like, their queues on disk. Here `path` is the folder in which each of them has one of its own,
    /// named as the publisher; default: `spool` in `agent.state_dir`.
    pub spool: Spool,
    /// Where samples are published. Without any, `run` on a terminal prints them.
    pub publishers: Vec<Publisher>,
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            batch_size: 50,
            batch_age: HumanDuration::from_secs(1),
            queue: 100_000,
            signing_secret: None,
            spool: Spool::default(),
            publishers: Vec::new(),
        }
    }
}

/// A place where samples are published.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct Publisher {
    /// The publisher's name in logs and metrics, different from that of every other.
    #[schemars(length(min = 1, max = 64), extend("format" = "identifier"))]
    pub name: String,
    /// Where to: for example `stdout:`, `file:///var/lib/samples` or `discard:`.
    pub url: PublisherUrl,
    /// How many samples wait in memory for this publisher. Default: `notifier.queue`.
    #[schemars(range(min = 1, max = 100_000_000))]
    #[serde(default)]
    pub queue: Option<usize>,
    /// What its spool is like where that is not as `notifier.spool` says. With this key, be it `{}`, it has a spool whatever its kind,
    /// unless `mode` is `off`. Here `path` is the folder itself.
    #[serde(default)]
    pub spool: Option<Spool>,
    /// Which meters it gets: names and patterns as in `meters` of a source. Default: all.
    #[schemars(length(min = 1))]
    #[serde(default)]
    pub meters: Option<Vec<String>>,
    /// The names of the sources whose samples it gets. Default: all.
    #[schemars(length(min = 1))]
    #[serde(default)]
    pub sources: Option<Vec<String>>,
    /// The namespaces of the plugins whose samples it gets. Default: all.
    #[schemars(length(min = 1))]
    #[serde(default)]
    pub namespaces: Option<Vec<String>>,
    /// The other keys: options of the URL's kind of publisher.
    #[serde(skip)]
    pub options: Options,
}

/// The URL of a publisher. What shows has `***` for its user information.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct PublisherUrl(#[schemars(extend("format" = "url"))] String);

impl PublisherUrl {
    /// The URL with its user information, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What kind of publisher it asks for, in lower case.
    pub fn scheme(&self) -> String {
        format::scheme(&self.0).unwrap_or_default().to_ascii_lowercase()
    }
}

impl fmt::Display for PublisherUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hide_userinfo(&self.0))
    }
}

impl fmt::Debug for PublisherUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&hide_userinfo(&self.0), f)
    }
}

impl Serialize for PublisherUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Options of a plugin family or a publisher, checked against their schema. They may hold secrets, so only their keys show.
#[derive(Clone, Default, PartialEq)]
pub struct Options(Map<String, Value>);

impl Options {
    /// Wraps checked options.
    pub fn new(options: Map<String, Value>) -> Self {
        Self(options)
    }

    /// The options as a mapping, for the plugin that they belong to.
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.keys().map(|key| (key, format_args!("***"))))
            .finish()
    }
}
