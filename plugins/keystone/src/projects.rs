//! The projects of all domains.

use std::collections::HashSet;
use std::sync::Arc;

use nephoscope_openstack::{ApiError, KEYSTONE, List, Service, Session, TOKEN, no_parameter};
use nephoscope_plugin::model::{Resource, ResourceBody, Value};
use nephoscope_plugin::{
    Call, CallDef, CallRate, Discovery, DiscoveryPlugin, DiscoveryRun, Failure, PartitionMode, Registration,
    Scope, async_trait, register,
};
use serde::Deserialize;

use crate::{FAMILY, NAMESPACES, get};

static PROJECTS: CallDef = get("/v3/projects");
/// Sent only if disabled projects are omitted.
static DOMAINS: CallDef = get("/v3/domains");

register!(Registration::Discovery(
    DiscoveryPlugin::new("tenant", FAMILY, |context| {
        let session = Session::of(context)?;
        Ok(Arc::new(Projects {
            enabled_only: session.options().ignore_disabled_projects,
            keystone: session.service(&KEYSTONE),
        }))
    })
    .namespaces(NAMESPACES)
    .description("Lists the projects of all domains")
    .scope(Scope::Shared)
    .partition(PartitionMode::Resource)
    .calls(&[PROJECTS, DOMAINS, TOKEN])
));

/// A project; its id is the key of its resource.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Project {
    /// The id.
    pub id: String,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The project's domain.
    #[serde(default)]
    pub domain_id: Option<String>,
}

impl ResourceBody for Project {
    fn describe(&self) -> Value {
        Value::Map(vec![
            ("name".into(), self.name.clone().into()),
            ("domain_id".into(), self.domain_id.clone().into()),
        ])
    }
}

#[derive(Deserialize)]
struct Domain {
    id: String,
}

struct Projects {
    enabled_only: bool,
    keystone: Service,
}

#[async_trait]
impl Discovery for Projects {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        no_parameter(run)?;
        let keystone = self.keystone.shared_by(run.members());
        let domains = if self.enabled_only {
            Some(enabled_domains(&keystone).await?)
        } else {
            None
        };
        let mut request = keystone.request(&PROJECTS);
        if self.enabled_only {
            request = request.query("enabled", "True");
        }
        let mut projects = request.list(List::Member("projects"));
        while let Some(project) = projects.next::<Project>().await? {
            let domain = project.domain_id.as_deref();
            let in_use = |domains: &HashSet<String>| domain.is_none_or(|domain| domains.contains(domain));
            if domains.as_ref().is_none_or(in_use) {
                run.push(Resource::with_body(project.id.clone(), project)).await?;
            }
        }
        Ok(())
    }

    fn rate(&self, call: &Call) -> Option<CallRate> {
        (*call != DOMAINS || self.enabled_only).then_some(call.rate)
    }
}

async fn enabled_domains(keystone: &Service) -> Result<HashSet<String>, ApiError> {
    let request = keystone.request(&DOMAINS).query("enabled", "True");
    let mut domains = request.list(List::Member("domains"));
    let mut ids = HashSet::new();
    while let Some(domain) = domains.next::<Domain>().await? {
        ids.insert(domain.id);
    }
    Ok(ids)
}
