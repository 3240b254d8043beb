//! The options of the publisher, and the settings derived from URL and options.

use std::path::PathBuf;
use std::time::Duration;

use nephoscope_plugin::{HumanDuration, OptionsError, PublisherContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::url::{self, Host};

/// The limit on batches in flight.
const MAX_PIPELINING: usize = 1024;

/// The maximum length of a queue or exchange name in the protocol.
const MAX_NAME: usize = 255;

/// Options of `amqp://`, `amqps://` and `rabbit://`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AmqpOptions {
    /// Topics: the queue `TOPIC.sample` of each topic receives a copy of each batch.
    topics: Vec<String>,
    /// The topic exchange: `control_exchange` of ceilometer.
    exchange: String,
    /// Whether exchange and queues survive a restart of the broker; must equal `amqp_durable_queues` of the consumers.
    durable: bool,
    /// Whether exchange and queues are deleted with their last user; must equal `amqp_auto_delete` of the consumers.
    auto_delete: bool,
    /// Whether queues are quorum queues, which are durable; must equal `rabbit_quorum_queue` of the consumers.
    quorum: bool,
    /// TLS options, for `amqps://` and for `rabbit://` over TLS.
    tls: Option<TlsOptions>,
    /// The heartbeat interval. The connection is closed after twice this time without data from the broker.
    heartbeat: HumanDuration,
    /// Timeout for connecting: TCP, TLS, login, declarations.
    connect_timeout: HumanDuration,
    /// Timeout for the confirm of a batch, after which it is sent again over a new connection.
    confirm_timeout: HumanDuration,
    /// The number of batches in flight. With more than one, a failure changes their order.
    #[schemars(range(min = 1, max = 1024))]
    pipelining: usize,
    /// The login method.
    sasl: Sasl,
}

impl Default for AmqpOptions {
    fn default() -> Self {
        Self {
            topics: vec!["notifications".to_owned()],
            exchange: "ceilometer".to_owned(),
            durable: false,
            auto_delete: false,
            quorum: false,
            tls: None,
            heartbeat: HumanDuration::from_secs(60),
            connect_timeout: HumanDuration::from_secs(5),
            confirm_timeout: HumanDuration::from_secs(10),
            pipelining: 1,
            sasl: Sasl::Plain,
        }
    }
}

/// TLS options. The files are PEM, and are read for each connection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsOptions {
    /// The trusted authorities. Default: those of the system.
    pub(crate) ca: Option<PathBuf>,
    /// The client certificate, with its intermediate certificates.
    pub(crate) certificate: Option<PathBuf>,
    /// The private key of the client certificate.
    pub(crate) key: Option<PathBuf>,
    /// Whether the broker's certificate must match the host of the URL. Without it, any certificate of a trusted authority is
    /// accepted.
    pub(crate) verify_hostname: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            ca: None,
            certificate: None,
            key: None,
            verify_hostname: true,
        }
    }
}

/// The login method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sasl {
    /// User and password of the URL, with the mechanism PLAIN.
    Plain,
    /// User and password of the URL, with RabbitMQ's mechanism AMQPLAIN.
    Amqplain,
    /// The client certificate.
    External,
}

/// The validated URL and options.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) publisher: String,
    pub(crate) hosts: Vec<Host>,
    pub(crate) vhost: String,
    pub(crate) exchange: String,
    /// `TOPIC.sample` of each topic: both routing key and queue.
    pub(crate) queues: Vec<String>,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) quorum: bool,
    pub(crate) tls: Option<TlsOptions>,
    /// In seconds.
    pub(crate) heartbeat: u16,
    pub(crate) connect_timeout: Duration,
    pub(crate) confirm_timeout: Duration,
    pub(crate) pipelining: usize,
    pub(crate) sasl: Sasl,
}

impl Settings {
    /// Reads and validates URL and options.
    pub(crate) fn read(context: &PublisherContext) -> Result<Self, OptionsError> {
        let options: AmqpOptions = context.options()?;
        let brokers = url::parse(context.url())?;
        let tls = match options.tls {
            Some(_) if !brokers.tls && !brokers.rabbit => {
                return Err(invalid("tls", "the URL must begin with `amqps://` for TLS"));
            }
            None if brokers.tls => Some(TlsOptions::default()),
            tls => tls,
        };
        if let Some(tls) = &tls
            && tls.certificate.is_some() != tls.key.is_some()
        {
            return Err(invalid("tls", "`certificate` and `key` require each other"));
        }
        let has_certificate = tls.as_ref().is_some_and(|tls| tls.certificate.is_some());
        if options.sasl == Sasl::External && !has_certificate {
            return Err(invalid(
                "sasl",
                "`external` requires `amqps://` and `tls: {certificate, key}`",
            ));
        }
        if options.quorum && options.auto_delete {
            return Err(invalid(
                "auto_delete",
                "quorum queues do not support `auto_delete`",
            ));
        }
        if !(1..=MAX_PIPELINING).contains(&options.pipelining) {
            return Err(invalid("pipelining", "expected a number from 1 to 1024"));
        }
        Ok(Self {
            publisher: context.name().to_string(),
            hosts: brokers.hosts,
            vhost: brokers.vhost,
            exchange: name("exchange", options.exchange)?,
            queues: queues(options.topics)?,
            durable: options.durable || options.quorum,
            auto_delete: options.auto_delete,
            quorum: options.quorum,
            tls,
            heartbeat: seconds("heartbeat", options.heartbeat)?,
            connect_timeout: wait("connect_timeout", options.connect_timeout)?,
            confirm_timeout: wait("confirm_timeout", options.confirm_timeout)?,
            pipelining: options.pipelining,
            sasl: options.sasl,
        })
    }
}

fn queues(topics: Vec<String>) -> Result<Vec<String>, OptionsError> {
    let mut queues = Vec::with_capacity(topics.len());
    for topic in topics {
        if topic.is_empty() {
            return Err(invalid("topics", "a topic is empty"));
        }
        let queue = name("topics", format!("{topic}.sample"))?;
        if queues.contains(&queue) {
            return Err(invalid("topics", &format!("duplicate topic `{topic}`")));
        }
        queues.push(queue);
    }
    if queues.is_empty() {
        return Err(invalid("topics", "expected at least one topic"));
    }
    Ok(queues)
}

fn name(path: &str, name: String) -> Result<String, OptionsError> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(invalid(path, "expected a name of 1 to 255 bytes"));
    }
    Ok(name)
}

fn seconds(path: &str, duration: HumanDuration) -> Result<u16, OptionsError> {
    match u16::try_from(duration.0.as_secs()) {
        Ok(seconds) if seconds > 0 && duration.0.subsec_nanos() == 0 => Ok(seconds),
        _ => Err(invalid(path, "expected whole seconds, from `1s` to `65535s`")),
    }
}

fn wait(path: &str, duration: HumanDuration) -> Result<Duration, OptionsError> {
    if duration.0.is_zero() {
        return Err(invalid(path, "expected a positive duration"));
    }
    Ok(duration.0)
}

fn invalid(path: &str, message: &str) -> OptionsError {
    OptionsError::new(path.to_owned(), message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_plugin::BlockingPool;
    use serde_json::json;
    use std::fmt::Write as _;

    fn read(url: &str, options: serde_json::Value) -> Result<Settings, OptionsError> {
        let context = PublisherContext::new("test".into(), url.to_owned(), options, BlockingPool::default());
        Settings::read(&context)
    }

    #[test]
    fn errors_describe_invalid_options() {
        let mut text = String::new();
        for (url, options) in [
            ("amqp://h/", json!({ "tls": {} })),
            ("amqps://h/", json!({ "tls": { "key": "/k" } })),
            ("amqps://h/", json!({ "sasl": "external" })),
            ("amqp://h/", json!({ "sasl": "magic" })),
            ("amqp://h/", json!({ "quorum": true, "auto_delete": true })),
            ("amqp://h/", json!({ "pipelining": 0 })),
            ("amqp://h/", json!({ "topics": [] })),
            ("amqp://h/", json!({ "topics": [""] })),
            ("amqp://h/", json!({ "topics": ["a", "a"] })),
            ("amqp://h/", json!({ "topics": ["a".repeat(255)] })),
            ("amqp://h/", json!({ "exchange": "" })),
            ("amqp://h/", json!({ "heartbeat": "0s" })),
            ("amqp://h/", json!({ "heartbeat": "1500ms" })),
            ("amqp://h/", json!({ "confirm_timeout": 0 })),
        ] {
            let error = read(url, options).unwrap_err();
            writeln!(text, "{error}").unwrap();
        }
        insta::assert_snapshot!(text, @r"
        option `tls`: the URL must begin with `amqps://` for TLS
        option `tls`: `certificate` and `key` require each other
        option `sasl`: `external` requires `amqps://` and `tls: {certificate, key}`
        option `sasl`: unknown variant `magic`, expected one of `plain`, `amqplain`, `external`
        option `auto_delete`: quorum queues do not support `auto_delete`
        option `pipelining`: expected a number from 1 to 1024
        option `topics`: expected at least one topic
        option `topics`: a topic is empty
        option `topics`: duplicate topic `a`
        option `topics`: expected a name of 1 to 255 bytes
        option `exchange`: expected a name of 1 to 255 bytes
        option `heartbeat`: expected whole seconds, from `1s` to `65535s`
        option `heartbeat`: expected whole seconds, from `1s` to `65535s`
        option `confirm_timeout`: expected a positive duration
        ");
    }

    #[test]
    fn rabbit_urls_allow_tls_and_quorum_queues_are_durable() {
        let settings = read("rabbit://h/", json!({ "tls": {}, "quorum": true })).unwrap();
        assert!(settings.tls.is_some());
        assert!(settings.durable);
        assert_eq!(settings.queues, ["notifications.sample"]);
        assert!(read("rabbit://h/", json!(null)).unwrap().tls.is_none());
    }
}
