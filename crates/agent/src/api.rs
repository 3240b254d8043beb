//! The listeners of the admin API as configured.

use nephoscope_admin::{Endpoint, Endpoints, ListenError};
use nephoscope_config::{Admin, Agent};

use crate::events;

/// Opens the configured listeners. Must be called within a runtime.
pub(crate) async fn listen(agent: &Agent) -> Result<Endpoints, ListenError> {
    let admin = match agent.admin() {
        Admin::Off => None,
        Admin::Unix(path) => Some(Endpoint::Unix(path)),
        Admin::Tcp(address) => Some(Endpoint::Tcp {
            address,
            host_name: agent.host(),
        }),
    };
    let metrics = agent.metrics.clone().map(Endpoint::Metrics);
    Endpoints::listen(admin.into_iter().chain(metrics)).await
}

/// Logs the addresses.
pub(crate) fn log_addresses(endpoints: &Endpoints) {
    endpoints
        .admin_addresses()
        .for_each(|address| events::listening(&address));
    endpoints
        .metrics_addresses()
        .for_each(|address| events::metrics_served(&address));
}
