//! The pollster of accounts.

use std::sync::Arc;

use nephoscope_openstack::{Service, Session, TOKEN, each};
use nephoscope_plugin::model::{MeterDef, Resource};
use nephoscope_plugin::{
    BuildContext, BuildError, Call, CallRate, Failure, PollRun, Pollster, PollsterPlugin, Registration,
    async_trait, register,
};

use crate::account::{Account, CONTAINER_OBJECTS, CONTAINER_SIZE, CONTAINERS, HEAD, LIST, OBJECTS, SIZE};
use crate::{FAMILY, Options, SWIFT};

register!(Registration::Pollster(
    PollsterPlugin::new("storage", FAMILY, build)
        .namespaces(&["central"])
        .description("Objects, their sizes and containers of the accounts of projects")
        .meters(&[
            MeterDef::gauge(OBJECTS, "object", "Number of objects of the account"),
            MeterDef::gauge(SIZE, "B", "Size of the account's objects"),
            MeterDef::gauge(CONTAINERS, "container", "Number of containers of the account"),
            MeterDef::gauge(CONTAINER_OBJECTS, "object", "Number of objects of the container"),
            MeterDef::gauge(CONTAINER_SIZE, "B", "Size of the container's objects"),
        ])
        .default_discovery("tenant")
        .endpoint(FAMILY)
        .calls(&[LIST, HEAD, TOKEN])
));

fn build(context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
    let options: Options = context.options()?;
    Ok(Arc::new(Storage {
        swift: Session::of(context)?.service(&SWIFT),
        prefix: options.reseller_prefix,
    }))
}

struct Storage {
    swift: Service,
    prefix: String,
}

#[async_trait]
impl Pollster for Storage {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        let containers = run.wants(CONTAINER_OBJECTS) || run.wants(CONTAINER_SIZE);
        let ask = |swift: Service, project: &Resource| {
            let name = format!("{}{}", self.prefix, project.key());
            Some(Account::ask(swift, name, containers))
        };
        each(run, &self.swift, ask, |project, account: Account, report| {
            account.report(project.key(), report);
        })
        .await
    }

    fn rate(&self, call: &Call, wanted: &[Arc<str>]) -> Option<CallRate> {
        let containers = wanted
            .iter()
            .any(|meter| [CONTAINER_OBJECTS, CONTAINER_SIZE].contains(&meter.as_ref()));
        let made = match &*call.method {
            "GET" => containers,
            "HEAD" => !containers,
            _ => true,
        };
        made.then_some(call.rate)
    }
}
