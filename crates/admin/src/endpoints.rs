//! The listeners of the admin API.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::listener::{ListenError, Listener};
use crate::routes::Surface;
use crate::server::serve;
use crate::state::AdminState;

/// The grace period for open requests when the agent stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// An address at which the agent listens, and what it serves there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// The admin API on a unix socket, including the routes that change spools.
    Unix(PathBuf),
    /// The read-only admin API on TCP, under `localhost`, addresses of this host and this host name.
    Tcp {
        /// `HOST:PORT`.
        address: String,
        /// The name of this host.
        host_name: String,
    },
    /// Health, readiness and metrics on TCP at `HOST:PORT`, under any host name.
    Metrics(String),
}

/// Open listeners that do not accept connections yet.
pub struct Endpoints(Vec<(Listener, Surface)>);

impl Endpoints {
    /// Opens all listeners. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// The error of the first listener that cannot be opened.
    pub async fn listen(endpoints: impl IntoIterator<Item = Endpoint>) -> Result<Self, ListenError> {
        let mut listening = Vec::new();
        for endpoint in endpoints {
            listening.push(match endpoint {
                Endpoint::Unix(path) => (
                    Listener::unix(&path)?,
                    Surface::Full {
                        host_names: Vec::new(),
                        changes: true,
                    },
                ),
                Endpoint::Tcp { address, host_name } => (
                    Listener::tcp(&address).await?,
                    Surface::Full {
                        host_names: vec![host_name],
                        changes: false,
                    },
                ),
                Endpoint::Metrics(address) => (Listener::tcp(&address).await?, Surface::MetricsOnly),
            });
        }
        Ok(Self(listening))
    }

    /// Returns the addresses of the admin API as in the configuration: `unix:PATH` or `tcp:ADDRESS:PORT`.
    pub fn admin_addresses(&self) -> impl Iterator<Item = String> {
        self.shown(|surface| *surface != Surface::MetricsOnly)
    }

    /// Returns the addresses of the metrics listeners.
    pub fn metrics_addresses(&self) -> impl Iterator<Item = String> {
        self.shown(|surface| *surface == Surface::MetricsOnly)
    }

    fn shown(&self, wanted: fn(&Surface) -> bool) -> impl Iterator<Item = String> {
        let endpoints = self.0.iter().filter(move |(_, surface)| wanted(surface));
        endpoints.map(|(listener, _)| listener.address())
    }

    /// Starts to accept connections.
    pub fn serve(self, state: &AdminState) -> Api {
        let (servers, stop) = (TaskTracker::new(), CancellationToken::new());
        for (listener, surface) in self.0 {
            servers.spawn(serve(listener, surface, state.clone(), stop.clone()));
        }
        servers.close();
        Api { servers, stop }
    }
}

/// The running servers.
pub struct Api {
    servers: TaskTracker,
    stop: CancellationToken,
}

impl Api {
    /// Stops the listeners, and waits for open requests within the grace period.
    pub async fn stop(&self) {
        self.stop.cancel();
        let _ = timeout(LAST_ANSWERS, self.servers.wait()).await;
    }
}
