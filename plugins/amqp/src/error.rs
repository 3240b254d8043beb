//! Errors of publishing to a broker, with advice.

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

/// An error of one broker.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum BrokerError {
    /// The connection failed.
    #[error("cannot reach the broker at {host}: {reason}")]
    Unreachable { host: String, reason: String },
    /// The TLS handshake failed.
    #[error("TLS with the broker at {host} failed, check `tls` and the broker's certificate: {reason}")]
    Tls { host: String, reason: String },
    /// A file of the `tls` options cannot be used.
    #[error("cannot use `tls.{option}`: {reason}")]
    TlsFile { option: &'static str, reason: String },
    /// The broker accepted the connection and did not become ready.
    #[error("the broker at {host} was not ready within {limit:?} (`connect_timeout`)")]
    NotReady { host: String, limit: Duration },
    /// The broker answered with an error.
    #[error("the broker at {host} rejected the request, {advice}: {answer}")]
    Refused {
        host: String,
        advice: String,
        answer: String,
    },
    /// A message exceeds the broker's limit. The broker does not report which one: the batches are retried, unless only one batch
    /// was in flight.
    #[error("a batch exceeds the broker's limit, lower `notifier.batch_size`: {answer}")]
    TooLarge { answer: String },
    /// The connection ended.
    #[error("the connection to the broker at {host} broke: {reason}")]
    Broken { host: String, reason: String },
    /// No confirm arrived. Whether the broker has the batch is unknown.
    #[error("the broker at {host} did not confirm the batch within {limit:?} (`confirm_timeout`)")]
    Unconfirmed { host: String, limit: Duration },
    /// The broker accepts no messages for now.
    #[error("blocked by the broker: {reason}")]
    Blocked { reason: Arc<str> },
    /// The broker rejected the message with a negative confirm.
    #[error(
        "the broker rejected the batch for the queue `{queue}`: the queue is full (`max-length` with `reject-publish`) or \
         unavailable; let consumers catch up, or raise its limit"
    )]
    Rejected { queue: String },
    /// The broker returned the message without a queue.
    #[error(
        "the broker returned the batch ({answer}): the exchange `{exchange}` had no binding for the queue `{queue}`; it is \
         declared and bound again, check who removes it if this repeats"
    )]
    Returned {
        exchange: String,
        queue: String,
        answer: String,
    },
    /// No attempt has finished yet.
    #[error("no connection to a broker yet")]
    NotConnected,
    /// The publisher was closed.
    #[error("the publisher is closed")]
    Closed,
}

impl BrokerError {
    /// Converts an error of the library on the connection to `host`.
    pub(crate) fn of(error: &lapin::Error, host: &Host, settings: &Settings) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(answer) => Self::from_answer(answer, host, settings),
            ErrorKind::MissingHeartbeatError => Self::Broken {
                host: host.shown(),
                reason: format!(
                    "no data for {} s (`heartbeat`)",
                    2 * u32::from(settings.heartbeat)
                ),
            },
            ErrorKind::ParsingError(_) => Self::Broken {
                host: host.shown(),
                reason: "the server does not speak AMQP 0-9-1, check the host and the port".to_owned(),
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

    fn from_answer(answer: &AMQPError, host: &Host, settings: &Settings) -> Self {
        let (user, vhost) = (&host.user, &settings.vhost);
        let text = answer.get_message().as_str();
        let advice = match answer.get_id() {
            code::ACCESS_REFUSED if text.contains("ogin") => {
                format!("the user `{user}` may not log in, check user and password in `url`, or `sasl`")
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
            code::NOT_FOUND => "exchange or queue was deleted and is declared again".to_owned(),
            code::PRECONDITION_FAILED if text.contains("message size") => {
                return Self::TooLarge {
                    answer: text.to_owned(),
                };
            }
            code::PRECONDITION_FAILED => {
                "exchange or queue exists with other properties, set `durable`, `auto_delete` and `quorum` accordingly"
                    .to_owned()
            }
            code::CONNECTION_FORCED => {
                "the broker is stopping, or an operator closed the connection or removed the user or the virtual host"
                    .to_owned()
            }
            _ => "see the broker's log".to_owned(),
        };
        Self::Refused {
            host: host.shown(),
            advice,
            answer: text.to_owned(),
        }
    }
}

/// Whether a declaration failed because the object exists with other properties.
pub(crate) fn is_precondition(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(answer) if answer.get_id() == code::PRECONDITION_FAILED)
}

/// A batch is only rejected if it is certainly the cause, which the error alone does not show.
impl From<BrokerError> for PublishError {
    fn from(error: BrokerError) -> Self {
        Self::retry(error.to_string())
    }
}
