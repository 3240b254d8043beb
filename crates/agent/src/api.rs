//! Where the agent answers questions about itself, as the configuration says.

use nephoscope_admin::{ListenError, Place, Places};
use nephoscope_config::{Admin, Agent};

use crate::events;

/// Listens wherever the configuration says. Called within a runtime.
pub(crate) async fn listen(agent: &Agent) -> Result<Places, ListenError> {
    let admin = match agent.admin() {
        Admin::Off => None,
        Admin::Unix(path) => Some(Place::Unix(path)),
        Admin::Tcp(address) => Some(Place::Tcp {
            address,
            host_name: agent.host(),
        }),
    };
    let metrics = agent.metrics.clone().map(Place::Metrics);
    Places::listen(admin.into_iter().chain(metrics)).await
}

/// Says where it answers.
pub(crate) fn tell(places: &Places) {
    places.of_admin().for_each(|place| events::listening(&place));
    places
        .of_metrics()
        .for_each(|place| events::metrics_served(&place));
}
