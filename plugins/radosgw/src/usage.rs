//! Requests of projects, from the gateway's usage log.

use std::sync::Arc;

use nephoscope_openstack::{ApiError, Request, Service, TOKEN, each};
use nephoscope_plugin::model::{MeterDef, Resource, Subject};
use nephoscope_plugin::{
    BuildContext, BuildError, Call, CallDef, CallRate, Failure, PollRun, Pollster, PollsterPlugin,
    Registration, async_trait, register,
};
use serde::Deserialize;

use crate::gateway::Gateway;
use crate::{FAMILY, NAMESPACES, get};

static USAGE: CallDef = get("/admin/usage", "usage=read");

const METER: &str = "radosgw.usage";

register!(Registration::Pollster(
    PollsterPlugin::new("radosgw.usage", FAMILY, build)
        .namespaces(NAMESPACES)
        .description("Requests of projects in the gateway's usage log")
        .meters(&[
            MeterDef::gauge(METER, "request", "Requests since the start of the usage log")
                .published_as("radosgw.api.request")
                .with_aliases(&["radosgw.api.request", "rgw.usage"])
        ])
        .default_discovery("tenant")
        .endpoint(FAMILY)
        .calls(&[USAGE, TOKEN])
));

fn build(context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
    Ok(Arc::new(Usage(Gateway::of(context)?)))
}

struct Usage(Gateway);

/// A user's part of the usage log.
#[derive(Deserialize)]
struct Log {
    summary: Vec<Summary>,
}

#[derive(Deserialize)]
struct Summary {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    ops: u64,
}

#[async_trait]
impl Pollster for Usage {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        let access = self.0.access()?;
        let ask =
            |service: Service, project: &Resource| Some(count(access.about(&service, &USAGE, project.key())));
        each(run, access.service, ask, |project, requests: u64, report| {
            let project = project.key();
            let subject = Subject::new(project.clone()).project(project.clone()).shared();
            report.add(METER, &subject, requests);
        })
        .await
    }

    fn rate(&self, call: &Call, _: &[Arc<str>]) -> Option<CallRate> {
        self.0.has_keys().then_some(call.rate)
    }
}

async fn count(request: Request) -> Result<u64, ApiError> {
    let log: Log = request.document().await?;
    let totals = log.summary.iter().map(|summary| summary.total.ops);
    Ok(totals.fold(0, u64::saturating_add))
}
