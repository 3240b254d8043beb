//! Object storage of Swift: the accounts of projects, and their containers.
//!
//! Names, units, ids and metadata are those of ceilometer's meters `storage.*`. An account is asked once for all of
//! them: the listing of its containers carries the totals of the account too.

mod account;

use std::sync::Arc;

use nephoscope_openstack::{Root, Service, ServiceDef, Session, TOKEN, each};
use nephoscope_plugin::model::{MeterDef, Resource};
use nephoscope_plugin::{
    BuildContext, BuildError, Call, CallDef, CallRate, Failure, Family, OptionsSpec, PollRun, Pollster,
    PollsterPlugin, Registration, async_trait, register,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::account::Account;

const FAMILY: &str = "swift";

const OBJECTS: &str = "storage.objects";
const SIZE: &str = "storage.objects.size";
const CONTAINERS: &str = "storage.objects.containers";
const CONTAINER_OBJECTS: &str = "storage.containers.objects";
const CONTAINER_SIZE: &str = "storage.containers.objects.size";

static SWIFT: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "object-store",
    // The endpoint names the account of the token's project.
    root: Root::Version,
    microversion: None,
};

const fn call(method: &'static str) -> CallDef {
    CallDef::new(FAMILY, method, "/v1/{account}")
        .role("ResellerAdmin")
        .rate(CallRate::PerResource)
}

/// Made where meters of containers are wanted.
static LIST: CallDef = call("GET");
/// Made where they are not.
static HEAD: CallDef = call("HEAD");

/// Options of Swift's accounts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// What stands before the project's id in the name of its account.
    reseller_prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reseller_prefix: "AUTH_".to_owned(),
        }
    }
}

register!(Registration::Family(
    Family::new(FAMILY, "Object storage of Swift").options(OptionsSpec::of::<Options>())
));

register!(Registration::Pollster(
    PollsterPlugin::new("storage", FAMILY, build)
        .namespaces(&["central"])
        .description("Objects, sizes and containers of the accounts of projects")
        .meters(&[
            MeterDef::gauge(OBJECTS, "object", "Objects of the account"),
            MeterDef::gauge(SIZE, "B", "Size of the account's objects"),
            MeterDef::gauge(CONTAINERS, "container", "Containers of the account"),
            MeterDef::gauge(CONTAINER_OBJECTS, "object", "Objects of the container"),
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
