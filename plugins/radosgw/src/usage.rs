//! The requests of projects, by the gateway's usage log.

use std::sync::Arc;

use nephoscope_openstack::{ApiError, Request, Service, each};
use nephoscope_plugin::model::{Resource, Subject};
use nephoscope_plugin::{BuildContext, BuildError, Call, CallRate, Failure, PollRun, Pollster, async_trait};
use serde::Deserialize;

use crate::USAGE;
use crate::gateway::Gateway;

pub(crate) const USAGE_METER: &str = "radosgw.usage";

pub(crate) fn build(context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
    Ok(Arc::new(Usage(Gateway::of(context)?)))
}

struct Usage(Gateway);

/// What the log knows of a user.
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
            report.add(USAGE_METER, &subject, requests);
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
