//! One endpoint and its connection, which is made when first needed and replaced when it breaks.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::{self, StoreError};
use super::options::StoreOptions;
use super::tls;

/// The time after which a silent connection with an open watch is pinged. etcd closes connections that are pinged more
/// often than every 5 s without other traffic (`--grpc-keepalive-min-time`).
///
/// The ping detects a dead connection of a client that only watches. A member detects it earlier, through its lease.
const PING_AFTER: Duration = Duration::from_secs(6);

/// The time limit for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// An etcd endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The configured URL. It contains no secret: an endpoint has no user information.
    pub(super) url: String,
    state: watch::Sender<State>,
}

/// A working connection. Clones share it.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    /// Cancelled when a caller finds the connection broken. Streams on it must end too, because a stream alone does not
    /// detect that its peer is gone.
    pub(super) broken: CancellationToken,
    /// The index of the endpoint in the store.
    pub(super) endpoint: usize,
    /// Whether a user is configured while etcd has authentication disabled.
    pub(super) unauthenticated: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Connection")
            .field("endpoint", &self.endpoint)
            .field("broken", &self.broken.is_cancelled())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
enum State {
    /// Never tried, or broken.
    None,
    Connecting,
    Connected(Box<Connection>),
    Failed(StoreError),
}

impl Endpoint {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            state: watch::Sender::new(State::None),
        }
    }

    /// Returns the connection, and makes it if there is none. The attempt continues when this wait ends, so that a slow
    /// endpoint connects eventually.
    pub(super) async fn connection(
        self: &Arc<Self>,
        index: usize,
        options: &Arc<StoreOptions>,
        deadline: Instant,
    ) -> Result<Connection, StoreError> {
        let mut states = self.state.subscribe();
        let mut begin = false;
        self.state.send_if_modified(|state| {
            let usable = match state {
                State::Connecting => true,
                State::Connected(connection) => !connection.broken.is_cancelled(),
                State::None | State::Failed(_) => false,
            };
            if !usable {
                *state = State::Connecting;
                begin = true;
            }
            begin
        });
        if begin {
            let (this, options) = (self.clone(), options.clone());
            tokio::spawn(async move {
                // Waiters must be woken when the attempt ends, also by a panic.
                let guard = ResetOnDrop(&this.state);
                let state = match connect(&this.url, index, &options).await {
                    Ok(connection) => State::Connected(Box::new(connection)),
                    Err(error) => State::Failed(error),
                };
                guard.0.send_replace(state);
            });
        }
        let decided = states.wait_for(|state| !matches!(state, State::Connecting));
        match timeout_at(deadline, decided).await {
            Ok(Ok(state)) => match &*state {
                State::Connected(connection) => Ok(Connection::clone(connection)),
                State::Failed(error) => Err(error.clone()),
                State::None | State::Connecting => {
                    Err(self.unreachable("the connection attempt was aborted"))
                }
            },
            Ok(Err(_)) => Err(self.unreachable("the connection attempt was aborted")),
            Err(_) => Err(self.unreachable("the connection attempt is still in progress")),
        }
    }

    fn unreachable(&self, what: &str) -> StoreError {
        StoreError::Unreachable {
            reason: format!("{}: {what}", self.url),
        }
    }
}

/// Resets the state when an attempt ends without a result.
struct ResetOnDrop<'a>(&'a watch::Sender<State>);

impl Drop for ResetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|state| {
            let undecided = matches!(state, State::Connecting);
            if undecided {
                *state = State::None;
            }
            undecided
        });
    }
}

async fn connect(url: &str, index: usize, options: &StoreOptions) -> Result<Connection, StoreError> {
    let unreachable = |reason: String| StoreError::Unreachable {
        reason: format!("{url}: {reason}"),
    };
    match timeout(options.connect_timeout, client(url, options)).await {
        Ok(Ok((client, unauthenticated))) => Ok(Connection {
            client,
            unauthenticated,
            broken: CancellationToken::new(),
            endpoint: index,
        }),
        // No request of the caller was sent yet.
        Ok(Err(StoreError::Unanswered { reason })) => Err(StoreError::Unreachable { reason }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(unreachable(format!(
            "not connected within {} ms",
            options.connect_timeout.as_millis()
        ))),
    }
}

/// Connects. Also returns whether a user is configured while etcd has authentication disabled.
async fn client(url: &str, options: &StoreOptions) -> Result<(Client, bool), StoreError> {
    let mut with = ConnectOptions::new()
        .with_connect_timeout(options.connect_timeout)
        .with_keep_alive(PING_AFTER, PING_TIMEOUT)
        // Without an open stream no caller waits, and etcd would treat pings as an attack.
        .with_keep_alive_while_idle(false)
        .with_tcp_keepalive(PING_AFTER)
        // Otherwise a member that lost its cluster does not answer watches.
        .with_require_leader(true);
    if url.starts_with("https:") {
        with = with.with_tls(tls::read(&options.tls).await?);
    }
    let anonymous = with.clone();
    if let Some(user) = &options.user {
        with = with.with_user(&user.name, user.password.expose());
    }
    let mut unauthenticated = false;
    let mut client = match Client::connect([url], Some(with)).await {
        // The user is configured before authentication is enabled in etcd.
        Err(error) if error::is_auth_disabled(&error) => {
            unauthenticated = true;
            Client::connect([url], Some(anonymous)).await
        }
        connected => connected,
    }
    .map_err(|error| connect_error(&error, url))?;
    // The client connects at its first use. A write must not be that first use.
    client
        .status()
        .await
        .map_err(|error| connect_error(&error, url))?;
    Ok((client, unauthenticated))
}

fn connect_error(error: &Error, url: &str) -> StoreError {
    match error {
        // From building the channel: nothing was sent, and the URL was validated before.
        Error::TransportError(cause) => StoreError::Tls {
            reason: error::with_causes(url, Some(cause)),
        },
        Error::InvalidUri(_) | Error::InvalidArgs(_) => StoreError::Rejected {
            reason: format!("{url}: {error}"),
        },
        _ => error::failed(error, url).error,
    }
}
