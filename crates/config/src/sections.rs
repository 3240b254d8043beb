//! The sections `agent`, `notifier` and `plugins`.
//!
//! The doc comments of fields are the texts of the JSON schema and the reference documentation.

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

/// A checked configuration. A reload compares its parts with those of the previous one.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The identity and the operation of this agent.
    pub agent: Agent,
    /// How agents divide shared resources.
    pub coordination: Coordination,
    /// The delivery of samples.
    pub notifier: Notifier,
    /// Options by plugin family. Families without an entry have no options.
    pub plugins: BTreeMap<String, Options>,
    /// The sources to poll, in the order of the file.
    pub sources: Vec<Source>,
}

/// The identity and the operation of this agent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// The unique id of this agent. Default: the host name.
    #[schemars(length(min = 1, max = 128), extend("format" = "identifier"))]
    pub id: Option<String>,
    /// The name of this host. It selects the host's own instances and is part of resource ids. Default: the host name.
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// The plugin namespaces to load, as with `--namespaces`. Namespaces are for example `compute`, `central` and `host`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub namespaces: Vec<String>,
    /// The `source` of every sample.
    pub sample_source: String,
    /// The folder for persistent state. Default: `/var/lib/nephoscope` for root, otherwise `$XDG_STATE_HOME/nephoscope` or
    /// `~/.local/state/nephoscope`.
    #[schemars(extend("format" = "path"))]
    pub state_dir: Option<PathBuf>,
    /// The address of the admin API: `unix:PATH`, `unix:` for `admin.sock` in `state_dir`, `tcp:HOST:PORT`, or `off`.
    #[schemars(extend("format" = "admin"))]
    pub admin: String,
    /// The address for `/metrics`, `/healthz` and `/readyz` over HTTP, as `HOST:PORT`. Default: none.
    #[schemars(extend("format" = "address"))]
    pub metrics: Option<String>,
    /// Whether changes of the configuration files are applied automatically. SIGHUP always applies them.
    pub watch: bool,
    /// The maximum duration of a stop. Within this time, running polls finish and samples are delivered.
    pub shutdown_timeout: HumanDuration,
    /// The log on standard error.
    pub log: Log,
    /// Whether cycles of this host's own resources start at a different time on each host, by at most a tenth of the interval and at most
    /// 30 s. This does not change the order of timestamps or the identity of cycles.
    pub splay: bool,
    /// The limits of concurrency and of discoveries.
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

/// The address of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// The admin API is off.
    Off,
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP address `host:port`.
    Tcp(String),
}

impl Agent {
    /// Returns the id of the agent. Default: the host name with invalid characters replaced.
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

    /// Returns the name of the host. Default: the name of the machine.
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

    /// Returns the folder for persistent state. Default: the user's state folder.
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

    /// Returns the address of the admin API.
    pub fn admin(&self) -> Admin {
        match self.admin.split_once(':') {
            Some(("unix", "")) => Admin::Unix(self.state_dir().join("admin.sock")),
            Some(("unix", path)) => Admin::Unix(path.into()),
            Some(("tcp", address)) => Admin::Tcp(address.to_owned()),
            _ => Admin::Off,
        }
    }
}

/// The log on standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The minimum level of logged events.
    pub level: LogLevel,
    /// The format of the log: one line of text, or one JSON object per event.
    pub format: LogFormat,
}

/// The level of a log event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Data is lost, or an operator has to act.
    Error,
    /// An error that the agent recovers from.
    Warn,
    /// A change of state.
    #[default]
    Info,
    /// Details of every cycle.
    Debug,
    /// Everything.
    Trace,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// JSON for programs.
    Json,
}

/// The limits of concurrency and of discoveries.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The maximum number of concurrent pollster runs of the agent. Further runs wait.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrent_polls: usize,
    /// The maximum number of concurrent pollster runs that use the same endpoint of a service.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrent_polls_per_endpoint: usize,
    /// The maximum number of resources of one discovery. The agent drops further resources and reports a failure.
    #[schemars(range(min = 1))]
    pub max_resources_per_discovery: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_concurrent_polls: 64,
            max_concurrent_polls_per_endpoint: 8,
            max_resources_per_discovery: 2_000_000,
        }
    }
}

/// The delivery of samples.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notifier {
    /// The maximum number of samples in a batch, which is published as one message.
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_size: usize,
    /// The maximum time that samples wait for their batch to fill, at most `1h`. After this time the batch is published.
    #[schemars(extend("maximum" = 3600))]
    pub flush_interval: HumanDuration,
    /// The maximum number of samples in the memory queue of each publisher. Above it, the oldest samples move to the publisher's spool.
    /// Without a spool they are dropped, counted and logged.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub queue: usize,
    /// The key for signing samples, as ceilometer's `telemetry_secret`. Without it, signatures are empty.
    pub signing_secret: Option<Secret>,
    /// The default settings of the publishers' spools, which are their queues on disk. Here `path` is the parent folder: each spool has
    /// a folder in it with the name of its publisher. Default of `path`: `spool` in `agent.state_dir`.
    pub spool: Spool,
    /// The publishers of samples. Without any, `run` on a terminal prints samples.
    pub publishers: Vec<Publisher>,
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            batch_size: 50,
            flush_interval: HumanDuration::from_secs(1),
            queue: 100_000,
            signing_secret: None,
            spool: Spool::default(),
            publishers: Vec::new(),
        }
    }
}

/// A publisher of samples.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct Publisher {
    /// The unique name of the publisher in logs and metrics.
    #[schemars(length(min = 1, max = 64), extend("format" = "identifier"))]
    pub name: String,
    /// The destination, for example `stdout:`, `file:///var/lib/samples` or `discard:`.
    pub url: PublisherUrl,
    /// The maximum number of samples in the memory queue of this publisher. Default: `notifier.queue`.
    #[schemars(range(min = 1, max = 100_000_000))]
    #[serde(default)]
    pub queue: Option<usize>,
    /// The settings of the spool that differ from `notifier.spool`. With this key, even as `{}`, every kind of publisher has a spool,
    /// unless `mode` is `off`. Here `path` is the folder of the spool.
    #[serde(default)]
    pub spool: Option<Spool>,
    /// The meters to publish: names and patterns as in `meters` of a source. Default: all.
    #[schemars(length(min = 1))]
    #[serde(default)]
    pub meters: Option<Vec<String>>,
    /// The names of the sources whose samples are published. Default: all.
    #[schemars(length(min = 1))]
    #[serde(default)]
    pub sources: Option<Vec<String>>,
    /// The namespaces of the plugins whose samples are published. Default: all.
    #[schemars(length(min = 1))]
    #[serde(default)]
    pub namespaces: Option<Vec<String>>,
    /// Other keys, which are options of the publisher's kind.
    #[serde(skip)]
    pub options: Options,
}

/// The URL of a publisher. Its user information is displayed as `***`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct PublisherUrl(#[schemars(extend("format" = "url"))] String);

impl PublisherUrl {
    /// Returns the URL with its user information, for the publisher.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the scheme in lower case, which selects the kind of publisher.
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

/// Options of a plugin family or a publisher, checked against their schema. Only their keys are displayed, because values may be secret.
#[derive(Clone, Default, PartialEq)]
pub struct Options(Map<String, Value>);

impl Options {
    /// Wraps checked options.
    pub fn new(options: Map<String, Value>) -> Self {
        Self(options)
    }

    /// Returns the options as a JSON object, for the plugin.
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Returns whether there are no options.
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
