//! The places where the agent answers questions about itself, as the configuration names them.

use std::time::Duration;

use nephoscope_config::{Admin, Agent};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{AdminState, ListenError, Listener, Surface, serve};

/// How long answers that are under way may take at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The admin API and the metrics, not served yet.
pub(crate) struct Places(Vec<(Listener, Surface)>);

impl Places {
    /// Listens wherever the configuration says. Called within a runtime.
    pub(crate) async fn listen(agent: &Agent) -> Result<Self, ListenError> {
        let mut places = Vec::new();
        let full = |changes| Surface::Full {
            host_names: vec![agent.host()],
            changes,
        };
        match agent.admin() {
            Admin::Off => {}
            Admin::Unix(path) => places.push((Listener::unix(&path)?, full(true))),
            Admin::Tcp(address) => places.push((Listener::tcp(&address).await?, full(false))),
        }
        if let Some(address) = &agent.metrics {
            places.push((Listener::tcp(address).await?, Surface::MetricsOnly));
        }
        Ok(Self(places))
    }

    /// Answers from now on.
    pub(crate) fn serve(self, state: &AdminState) -> Api {
        let (servers, stop) = (TaskTracker::new(), CancellationToken::new());
        for (listener, surface) in self.0 {
            match surface {
                Surface::Full { .. } => crate::events::listening(&listener.place()),
                Surface::MetricsOnly => crate::events::metrics_served(&listener.place()),
            }
            servers.spawn(serve(listener, surface, state.clone(), stop.clone()));
        }
        servers.close();
        Api { servers, stop }
    }
}

/// The admin API and the metrics, served.
pub(crate) struct Api {
    servers: TaskTracker,
    stop: CancellationToken,
}

impl Api {
    /// Answers what was asked, and listens no more.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        // Who is still not answered has waited long enough.
        let _ = timeout(LAST_ANSWERS, self.servers.wait()).await;
    }
}
