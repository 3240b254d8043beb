//! One endpoint, and the connection to it: made when first needed, and anew after it broke.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::{self, StoreError};
use super::options::StoreOptions;
use super::tls;

/// How long a connection on which a watch is open may be silent until it is asked for a sign of life. etcd closes connections that
/// are asked more often than every 5 s (`--grpc-keepalive-min-time`), if nothing else passes.
///
/// This notices a dead connection of who only watches. A member notices sooner, by its lease.
const PING_AFTER: Duration = Duration::from_secs(6);

/// How long that sign of life may take.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// An endpoint of etcd.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// As configured, which shows no secret: an endpoint has no user information.
    pub(super) url: String,
    state: watch::Sender<State>,
}

/// A connection that was seen to work. Clones are the same connection.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    /// Cancelled when somebody found the connection broken: streams on it are to be given up too, since a stream alone does
    /// not notice that the other side has gone.
    pub(super) broken: CancellationToken,
    /// From which endpoint of the store.
    pub(super) endpoint: usize,
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

    /// The connection, made if there is none. Making one goes on when this wait ends, so that slow is not the same as never.
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
                // However the attempt ends, by a panic too, who waits is told.
                let guard = Undecided(&this.state);
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
                    Err(self.unreachable("the attempt to connect was given up"))
                }
            },
            Ok(Err(_)) => Err(self.unreachable("the attempt to connect was given up")),
            Err(_) => Err(self.unreachable("connecting takes longer")),
        }
    }

    fn unreachable(&self, what: &str) -> StoreError {
        StoreError::Unreachable {
            reason: format!("{}: {what}", self.url),
        }
    }
}

/// Takes back an attempt that ended without a result.
struct Undecided<'a>(&'a watch::Sender<State>);

impl Drop for Undecided<'_> {
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
        Ok(Ok(client)) => Ok(Connection {
            client,
            broken: CancellationToken::new(),
            endpoint: index,
        }),
        // Nothing of a caller's was sent yet.
        Ok(Err(StoreError::Unanswered { reason })) => Err(StoreError::Unreachable { reason }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(unreachable(format!(
            "not connected within {} ms",
            options.connect_timeout.as_millis()
        ))),
    }
}

async fn client(url: &str, options: &StoreOptions) -> Result<Client, StoreError> {
    let mut with = ConnectOptions::new()
        .with_connect_timeout(options.connect_timeout)
        .with_keep_alive(PING_AFTER, PING_TIMEOUT)
        // Without an open stream nobody waits, and etcd would take pings for an attack.
        .with_keep_alive_while_idle(false)
        .with_tcp_keepalive(PING_AFTER)
        // Without it, a member that lost its cluster answers watches with silence.
        .with_require_leader(true);
    if url.starts_with("https:") {
        with = with.with_tls(tls::read(&options.tls).await?);
    }
    let anonymous = with.clone();
    if let Some(user) = &options.user {
        with = with.with_user(&user.name, user.password.expose());
    }
    let mut client = match Client::connect([url], Some(with)).await {
        // The user is set up before etcd begins to ask for one.
        Err(error) if error::asks_for_no_user(&error) => Client::connect([url], Some(anonymous)).await,
        connected => connected,
    }
    .map_err(|error| refused(&error, url))?;
    // The client connects when it is first used. A write must not be what finds out.
    client.status().await.map_err(|error| refused(&error, url))?;
    Ok(client)
}

fn refused(error: &Error, url: &str) -> StoreError {
    match error {
        // Of building the channel: nothing was sent, and the URL is checked before.
        Error::TransportError(cause) => StoreError::Tls {
            reason: error::with_causes(url, Some(cause)),
        },
        Error::InvalidUri(_) | Error::InvalidArgs(_) => StoreError::Refused {
            reason: format!("{url}: {error}"),
        },
        _ => error::failed(error, url).error,
    }
}
