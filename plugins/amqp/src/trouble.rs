//! Why the broker did not take a batch, and what to change.

use std::sync::Arc;
use std::time::Duration;

use lapin::ErrorKind;
use lapin::protocol::AMQPError;
use nephoscope_plugin::PublishError;

use crate::options::Settings;
use crate::url::Host;

/// Reply codes of the protocol.
mod code {
    pub(super) const CONNECTION_FORCED: u16 = 320;
    pub(super) const ACCESS_REFUSED: u16 = 403;
    pub(super) const NOT_FOUND: u16 = 404;
    pub(super) const PRECONDITION_FAILED: u16 = 406;
    pub(super) const NOT_ALLOWED: u16 = 530;
}

/// What went wrong, with one broker.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Trouble {
    /// No connection.
    #[error("cannot reach the broker at {host}: {reason}")]
    Unreachable { host: String, reason: String },
    /// No TLS session.
    #[error("no TLS with the broker at {host}, check `tls` and the broker's certificate: {reason}")]
    Tls { host: String, reason: String },
    /// A file that `tls` names.
    #[error("`tls.{option}` cannot be used: {reason}")]
    TlsFile { option: &'static str, reason: String },
    /// The broker accepted and did not become ready.
    #[error("the broker at {host} was not ready within {limit:?} (`connect_timeout`)")]
    NotReady { host: String, limit: Duration },
    /// The broker answered with an error.
    #[error("the broker at {host} refuses: {advice}: {answer}")]
    Refuses {
        host: String,
        advice: String,
        answer: String,
    },
    /// A message that is larger than the broker takes. The broker does not say which: who hears it tries again, but
    /// for the one batch that was under way alone.
    #[error("a batch is larger than the broker takes, lower `notifier.batch_size`: {answer}")]
    TooLarge { answer: String },
    /// The connection ended.
    #[error("the connection to the broker at {host} broke: {reason}")]
    Broken { host: String, reason: String },
    /// No confirm came. Whether the broker has the batch is not known.
    #[error("the broker at {host} did not confirm the batch within {limit:?} (`confirm_timeout`)")]
    Unconfirmed { host: String, limit: Duration },
    /// The broker takes nothing for now.
    #[error("blocked by the broker: {reason}")]
    Blocked { reason: Arc<str> },
    /// The broker answered that it does not take the message.
    #[error(
        "the broker did not take the batch for the queue `{queue}`: it is full (`max-length` with `reject-publish`), or \
         not available; let consumers catch up, or raise its limit"
    )]
    Rejected { queue: String },
    /// The exchange had no queue for the message.
    #[error(
        "the broker returned the batch ({answer}): the exchange `{exchange}` had no queue bound for `{queue}`; it is \
         declared and bound again, see who removes it if this repeats"
    )]
    Returned {
        exchange: String,
        queue: String,
        answer: String,
    },
    /// No attempt has ended yet.
    #[error("no connection to a broker yet")]
    Waiting,
    /// The publisher was closed.
    #[error("the publisher is closed")]
    Closed,
}

impl Trouble {
    /// What an error of the protocol's library means on the connection to `host`.
    pub(crate) fn of(error: &lapin::Error, host: &Host, settings: &Settings) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(answer) => Self::answered(answer, host, settings),
            ErrorKind::MissingHeartbeatError => Self::Broken {
                host: host.shown(),
                reason: format!(
                    "nothing was heard for {} s (`heartbeat`)",
                    2 * u32::from(settings.heartbeat)
                ),
            },
            ErrorKind::ParsingError(_) => Self::Broken {
                host: host.shown(),
                reason: "what answers there does not speak AMQP 0-9-1, correct the host or the port"
                    .to_owned(),
            },
            ErrorKind::IOError(error) => Self::Broken {
                host: host.shown(),
                reason: error.to_string(),
            },
            _ => Self::Broken {
                host: host.shown(),
                reason: error.to_string(),
            },
        }
    }

    fn answered(answer: &AMQPError, host: &Host, settings: &Settings) -> Self {
        let (user, vhost) = (&host.user, &settings.vhost);
        let text = answer.get_message().as_str();
        let advice = match answer.get_id() {
            code::ACCESS_REFUSED if text.contains("ogin") => {
                format!("the user `{user}` may not log in, correct user or password in `url`, or `sasl`")
            }
            code::ACCESS_REFUSED => {
                format!("give the user `{user}` permission to configure, write and read in the virtual host `{vhost}`")
            }
            code::NOT_ALLOWED if text.contains("not found") => {
                format!("the virtual host `{vhost}` does not exist, create it or correct the path of `url`")
            }
            code::NOT_ALLOWED => {
                format!("give the user `{user}` access to the virtual host `{vhost}`, or correct the path of `url`")
            }
            code::NOT_FOUND => "exchange or queue is gone, it is declared again".to_owned(),
            code::PRECONDITION_FAILED if text.contains("message size") => {
                return Self::TooLarge {
                    answer: text.to_owned(),
                };
            }
            code::PRECONDITION_FAILED => {
                "exchange or queue is there with other properties, set `durable`, `auto_delete`, `quorum` as they are"
                    .to_owned()
            }
            code::CONNECTION_FORCED => {
                "it is stopping, or its operator closed the connection, or removed the user or the virtual host"
                    .to_owned()
            }
            _ => "see its log".to_owned(),
        };
        Self::Refuses {
            host: host.shown(),
            advice,
            answer: text.to_owned(),
        }
    }
}

/// Whether a declaration was refused because the thing is there with other properties.
pub(crate) fn is_precondition(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(answer) if answer.get_id() == code::PRECONDITION_FAILED)
}

/// A batch is refused for good only where it is certain that it is the one, which the error alone does not say.
impl From<Trouble> for PublishError {
    fn from(trouble: Trouble) -> Self {
        Self::retry(trouble.to_string())
    }
}
