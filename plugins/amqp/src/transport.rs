//! The connection to one broker: TCP, TLS, login, and a reliable end.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use async_rs::Runtime;
use lapin::tcp::AsyncTcpStream;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};
use lapin::{Connection, ConnectionProperties};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::error::BrokerError;
use crate::options::{Sasl, Settings};
use crate::stream::{self, BrokerStream};
use crate::tls;
use crate::url::Host;

/// The maximum frame size, equal to that of the broker and of ceilometer's library.
const FRAME_MAX: u32 = 131_072;

/// An open connection. Dropping it ends it immediately, whatever the broker does.
pub(crate) struct Transport {
    pub(crate) connection: Connection,
    // After the connection, which may still send its close.
    _shutdown: ShutdownOnDrop,
}

/// Shuts a socket down when dropped.
///
/// The library's thread ends with its socket, or when the broker answers. A broker that hangs would keep thread and socket for
/// two heartbeat intervals.
#[derive(Default)]
struct ShutdownOnDrop(Arc<Mutex<Option<OwnedFd>>>);

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = self.0.lock().take() {
            // The socket may already be closed.
            let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
        }
    }
}

/// Connects and logs in, until `until`.
pub(crate) async fn open(settings: &Settings, host: &Host, until: Instant) -> Result<Transport, BrokerError> {
    let shutdown = ShutdownOnDrop::default();
    let failure: Arc<Mutex<Option<BrokerError>>> = Arc::default();
    let opened = {
        let socket = shutdown.0.clone();
        let failure = failure.clone();
        let tls = settings.tls.clone();
        let name = host.name.clone();
        let port = host.port;
        let shown = host.shown();
        // Runs on the library's thread, where reading certificates may block.
        Connection::connector(
            uri(settings, host),
            Runtime::new(stream::runtime()),
            async move |_, _| {
                let tcp = async {
                    let unreachable = |error: std::io::Error| BrokerError::Unreachable {
                        host: shown.clone(),
                        reason: error.to_string(),
                    };
                    let stream = TcpStream::connect((name.as_str(), port))
                        .await
                        .map_err(unreachable)?;
                    // Without it a small message waits for the acknowledgement of the previous one.
                    let _ = stream.set_nodelay(true);
                    *socket.lock() = Some(stream.as_fd().try_clone_to_owned().map_err(unreachable)?);
                    let Some(tls) = &tls else {
                        return Ok(BrokerStream::plain(stream));
                    };
                    let connector = TlsConnector::from(tls::config(tls)?);
                    let failed = |error: &dyn std::error::Error| BrokerError::Tls {
                        host: shown.clone(),
                        reason: error.to_string(),
                    };
                    let name = ServerName::try_from(name.clone()).map_err(|error| failed(&error))?;
                    let stream = connector
                        .connect(name, stream)
                        .await
                        .map_err(|error| failed(&error))?;
                    Ok(BrokerStream::tls(stream))
                };
                let ended = match timeout_at(until, tcp).await {
                    Ok(Ok(stream)) => return Ok(AsyncTcpStream::Plain(stream)),
                    Ok(Err(error)) => std::io::Error::other(failure.lock().insert(error).to_string()),
                    Err(_) => std::io::ErrorKind::TimedOut.into(),
                };
                Err(lapin::Error::from(ended))
            },
            properties(settings),
        )
    };
    match timeout_at(until, opened).await {
        Ok(Ok(connection)) => Ok(Transport {
            connection,
            _shutdown: shutdown,
        }),
        Ok(Err(error)) => Err(match failure.lock().take() {
            Some(error) => error,
            None if Instant::now() >= until => not_ready(settings, host),
            None => BrokerError::of(&error, host, settings),
        }),
        Err(_) => Err(not_ready(settings, host)),
    }
}

/// The error of a broker that was not ready in time.
pub(crate) fn not_ready(settings: &Settings, host: &Host) -> BrokerError {
    BrokerError::NotReady {
        host: host.shown(),
        limit: settings.connect_timeout,
    }
}

fn uri(settings: &Settings, host: &Host) -> AMQPUri {
    AMQPUri {
        // The library does not open the connection itself.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: host.user.clone(),
                password: host.password.expose().to_owned(),
            },
            host: host.name.clone(),
            port: host.port,
        },
        vhost: settings.vhost.clone(),
        query: AMQPQueryString {
            frame_max: Some(FRAME_MAX),
            // Only one channel is used; zero is the broker's choice.
            channel_max: None,
            heartbeat: Some(settings.heartbeat),
            connection_timeout: None,
            auth_mechanism: Some(match settings.sasl {
                Sasl::Plain => SASLMechanism::Plain,
                Sasl::Amqplain => SASLMechanism::AMQPlain,
                Sasl::External => SASLMechanism::External,
            }),
        },
    }
}

fn properties(settings: &Settings) -> ConnectionProperties {
    let name = format!("nephoscope:{}:{}", std::process::id(), settings.publisher);
    ConnectionProperties::default()
        .with_client_property("product".into(), "nephoscope".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
        .with_connection_name(name.into())
}
