//! Traffic of Neutron's load balancers (LBaaS).

use std::sync::Arc;

use nephoscope_openstack::{ApiError, Record, Request, Service, Session, TOKEN, each};
use nephoscope_plugin::model::{MeterDef, Resource, Subject};
use nephoscope_plugin::{
    BuildContext, BuildError, CallDef, CallRate, Failure, PollRun, Pollster, PollsterPlugin, Registration,
    async_trait, register,
};
use serde::Deserialize;

use crate::{FAMILY, NAMESPACES, NEUTRON, get};

const ACTIVE: &str = "network.services.lb.active.connections";
const TOTAL: &str = "network.services.lb.total.connections";
const INCOMING: &str = "network.services.lb.incoming.bytes";
const OUTGOING: &str = "network.services.lb.outgoing.bytes";

static STATS: CallDef = get("/v2.0/lbaas/loadbalancers/{loadbalancer}/stats").rate(CallRate::PerResource);

register!(Registration::Pollster(
    PollsterPlugin::new("network.services.lb.traffic", FAMILY, build)
        .namespaces(NAMESPACES)
        .description("Connections and traffic of LBaaS load balancers")
        .meters(&[
            MeterDef::gauge(ACTIVE, "connection", "Open connections"),
            MeterDef::cumulative(TOTAL, "connection", "Connections since the start of the balancer"),
            MeterDef::gauge(INCOMING, "B", "Bytes received since the start of the balancer"),
            MeterDef::gauge(OUTGOING, "B", "Bytes sent since the start of the balancer"),
        ])
        .default_discovery("lb_loadbalancers")
        .endpoint(FAMILY)
        .calls(&[STATS, TOKEN])
));

struct Traffic(Service);

#[derive(Deserialize)]
struct Document {
    stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    active_connections: u64,
    total_connections: u64,
    bytes_in: u64,
    bytes_out: u64,
}

fn build(context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
    Ok(Arc::new(Traffic(Session::of(context)?.service(&NEUTRON))))
}

#[async_trait]
impl Pollster for Traffic {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        let ask = |neutron: Service, balancer: &Resource| {
            let request = neutron.request(&STATS).segment(&**balancer.key());
            balancer.body::<Record>().map(|_| stats(request))
        };
        each(run, &self.0, ask, |balancer, stats: Stats, report| {
            let mut subject = Subject::new(balancer.key().clone());
            let project = balancer
                .body::<Record>()
                .and_then(|record| record.text("tenant_id"));
            subject.project_id = project.map(Arc::from);
            let subject = subject.shared();
            report.add(ACTIVE, &subject, stats.active_connections);
            report.add(TOTAL, &subject, stats.total_connections);
            report.add(INCOMING, &subject, stats.bytes_in);
            report.add(OUTGOING, &subject, stats.bytes_out);
        })
        .await
    }
}

async fn stats(request: Request) -> Result<Stats, ApiError> {
    Ok(request.document::<Document>().await?.stats)
}
