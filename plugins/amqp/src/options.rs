//! The options beside `url`, and what follows from both.

use std::path::PathBuf;
use std::time::Duration;

use nephoscope_plugin::{HumanDuration, OptionsError, PublisherContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::url::{self, Host};

/// No more batches than this may be under way at once.
const MAX_PIPELINING: usize = 1024;

/// The longest name of a queue or exchange on the wire.
const MAX_NAME: usize = 255;

/// Options of `amqp://`, `amqps://` and `rabbit://`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AmqpOptions {
    /// A copy of each batch goes to the queue `TOPIC.sample` of each topic.
    topics: Vec<String>,
    /// The topic exchange: `control_exchange` of ceilometer.
    exchange: String,
    /// Whether exchange and queues survive a restart of the broker; as `amqp_durable_queues` at those who consume.
    durable: bool,
    /// Whether exchange and queues go with their last user; as `amqp_auto_delete` at those who consume.
    auto_delete: bool,
    /// Whether queues are quorum queues, which are durable; as `rabbit_quorum_queue` at those who consume.
    quorum: bool,
    /// For `amqps://`, and for `rabbit://` over TLS.
    tls: Option<TlsOptions>,
    /// When nothing was heard from the broker for twice this time, the connection is given up.
    heartbeat: HumanDuration,
    /// How long a broker may take to be ready: connection, TLS, login, declarations.
    connect_timeout: HumanDuration,
    /// How long the broker may take to confirm a batch; then it is sent again over a new connection.
    confirm_timeout: HumanDuration,
    /// How many batches are sent ahead of their confirms. With more than one their order is not kept when one fails.
    #[schemars(range(min = 1, max = 1024))]
    pipelining: usize,
    /// How to log in.
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

/// TLS options; files are PEM, and read anew for each connection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsOptions {
    /// The only authorities that are trusted; without it, those of the system.
    pub(crate) ca: Option<PathBuf>,
    /// The certificate to show to the broker, with those between it and its authority.
    pub(crate) certificate: Option<PathBuf>,
    /// The file with the certificate's private key.
    pub(crate) key: Option<PathBuf>,
    /// Whether the broker's certificate must name the host of the URL. Without it, any certificate of a trusted
    /// authority will do.
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

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sasl {
    /// User and password of the URL.
    Plain,
    /// The same in RabbitMQ's own form.
    Amqplain,
    /// The client certificate.
    External,
}

/// URL and options, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) publisher: String,
    pub(crate) hosts: Vec<Host>,
    pub(crate) vhost: String,
    pub(crate) exchange: String,
    /// `TOPIC.sample` of each topic: routing key and queue.
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
    /// Reads and checks URL and options.
    pub(crate) fn read(context: &PublisherContext) -> Result<Self, OptionsError> {
        let options: AmqpOptions = context.options()?;
        let brokers = url::parse(context.url())?;
        let tls = match options.tls {
            Some(_) if !brokers.tls && !brokers.rabbit => {
                return Err(wrong("tls", "the URL must begin with `amqps://` for TLS"));
            }
            None if brokers.tls => Some(TlsOptions::default()),
            tls => tls,
        };
        if let Some(tls) = &tls
            && tls.certificate.is_some() != tls.key.is_some()
        {
            return Err(wrong("tls", "`certificate` and `key` go together"));
        }
        let has_certificate = tls.as_ref().is_some_and(|tls| tls.certificate.is_some());
        if options.sasl == Sasl::External && !has_certificate {
            return Err(wrong(
                "sasl",
                "`external` needs `amqps://` and `tls: {certificate, key}`",
            ));
        }
        if options.quorum && options.auto_delete {
            return Err(wrong(
                "auto_delete",
                "quorum queues cannot be deleted with their last user",
            ));
        }
        if !(1..=MAX_PIPELINING).contains(&options.pipelining) {
            return Err(wrong("pipelining", "expected a number from 1 to 1024"));
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
            return Err(wrong("topics", "a topic is empty"));
        }
        let queue = name("topics", format!("{topic}.sample"))?;
        if queues.contains(&queue) {
            return Err(wrong("topics", &format!("`{topic}` is there twice")));
        }
        queues.push(queue);
    }
    if queues.is_empty() {
        return Err(wrong("topics", "at least one is needed"));
    }
    Ok(queues)
}

fn name(path: &str, name: String) -> Result<String, OptionsError> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(wrong(path, "a name has from 1 to 255 bytes"));
    }
    Ok(name)
}

fn seconds(path: &str, duration: HumanDuration) -> Result<u16, OptionsError> {
    match u16::try_from(duration.0.as_secs()) {
        Ok(seconds) if seconds > 0 && duration.0.subsec_nanos() == 0 => Ok(seconds),
        _ => Err(wrong(path, "expected whole seconds, from `1s` to `65535s`")),
    }
}

fn wait(path: &str, duration: HumanDuration) -> Result<Duration, OptionsError> {
    if duration.0.is_zero() {
        return Err(wrong(path, "expected more than no time at all"));
    }
    Ok(duration.0)
}

fn wrong(path: &str, message: &str) -> OptionsError {
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
    fn what_is_wrong_with_options_is_said() {
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
        option `tls`: `certificate` and `key` go together
        option `sasl`: `external` needs `amqps://` and `tls: {certificate, key}`
        option `sasl`: unknown variant `magic`, expected one of `plain`, `amqplain`, `external`
        option `auto_delete`: quorum queues cannot be deleted with their last user
        option `pipelining`: expected a number from 1 to 1024
        option `topics`: at least one is needed
        option `topics`: a topic is empty
        option `topics`: `a` is there twice
        option `topics`: a name has from 1 to 255 bytes
        option `exchange`: a name has from 1 to 255 bytes
        option `heartbeat`: expected whole seconds, from `1s` to `65535s`
        option `heartbeat`: expected whole seconds, from `1s` to `65535s`
        option `confirm_timeout`: expected more than no time at all
        ");
    }

    #[test]
    fn rabbit_urls_take_tls_as_an_option_and_quorum_queues_are_durable() {
        let settings = read("rabbit://h/", json!({ "tls": {}, "quorum": true })).unwrap();
        assert!(settings.tls.is_some());
        assert!(settings.durable);
        assert_eq!(settings.queues, ["notifications.sample"]);
        assert!(read("rabbit://h/", json!(null)).unwrap().tls.is_none());
    }
}
