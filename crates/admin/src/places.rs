//! The places where the agent answers questions about itself.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::listener::{ListenError, Listener};
use crate::routes::Surface;
use crate::server::serve;
use crate::state::AdminState;

/// How long answers that are under way may take at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A place, and what is answered there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The admin API on a unix socket, with what acts on spools.
    Unix(PathBuf),
    /// The admin API on TCP, under `localhost`, addresses of this host and this name of it. Nothing is changed there.
    Tcp {
        /// `HOST:PORT`.
        address: String,
        /// The name of this host.
        host_name: String,
    },
    /// Health, readiness and metrics alone, on TCP at `HOST:PORT`, under any name.
    Metrics(String),
}

/// Places that are listened at and not served yet.
pub struct Places(Vec<(Listener, Surface)>);

impl Places {
    /// Listens at all of these. Called within a runtime.
    ///
    /// # Errors
    ///
    /// The first place that cannot be listened at.
    pub async fn listen(places: impl IntoIterator<Item = Place>) -> Result<Self, ListenError> {
        let mut listening = Vec::new();
        for place in places {
            listening.push(match place {
                Place::Unix(path) => (
                    Listener::unix(&path)?,
                    Surface::Full {
                        host_names: Vec::new(),
                        changes: true,
                    },
                ),
                Place::Tcp { address, host_name } => (
                    Listener::tcp(&address).await?,
                    Surface::Full {
                        host_names: vec![host_name],
                        changes: false,
                    },
                ),
                Place::Metrics(address) => (Listener::tcp(&address).await?, Surface::MetricsOnly),
            });
        }
        Ok(Self(listening))
    }

    /// Where the admin API will be served, as in the configuration: `unix:PATH` or `tcp:ADDRESS:PORT`.
    pub fn of_admin(&self) -> impl Iterator<Item = String> {
        self.shown(|surface| *surface != Surface::MetricsOnly)
    }

    /// Where the metrics alone will be served.
    pub fn of_metrics(&self) -> impl Iterator<Item = String> {
        self.shown(|surface| *surface == Surface::MetricsOnly)
    }

    fn shown(&self, wanted: fn(&Surface) -> bool) -> impl Iterator<Item = String> {
        let places = self.0.iter().filter(move |(_, surface)| wanted(surface));
        places.map(|(listener, _)| listener.place())
    }

    /// Answers from now on.
    pub fn serve(self, state: &AdminState) -> Api {
        let (servers, stop) = (TaskTracker::new(), CancellationToken::new());
        for (listener, surface) in self.0 {
            servers.spawn(serve(listener, surface, state.clone(), stop.clone()));
        }
        servers.close();
        Api { servers, stop }
    }
}

/// Places that are served.
pub struct Api {
    servers: TaskTracker,
    stop: CancellationToken,
}

impl Api {
    /// Answers what was asked, and listens no more.
    pub async fn stop(&self) {
        self.stop.cancel();
        // Who is still not answered has waited long enough.
        let _ = timeout(LAST_ANSWERS, self.servers.wait()).await;
    }
}
