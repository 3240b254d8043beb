//! Secrets of Barbican: ceilometer's discovery `barbican`, for pollsters that need their own credentials.
//!
//! `barbican://ID` lists one resource, whose key is the secret's id and whose body, [`Credentials`], is its payload.
//! Differences to ceilometer: its resource is the payload itself, which appears in logs and samples; and it drops the path
//! before `/v1` of the endpoint, so that it finds no Barbican behind a proxy.

use std::fmt;
use std::sync::Arc;

use nephoscope_openstack::{ApiError, Root, Service, ServiceDef, Session, TOKEN};
use nephoscope_plugin::model::{Resource, ResourceBody, Value};
use nephoscope_plugin::{
    BuildContext, BuildError, CallDef, Discovery, DiscoveryPlugin, DiscoveryRun, Failure, Family,
    PartitionMode, Registration, Scope, async_trait, register,
};

const FAMILY: &str = "barbican";

/// The key of the resource that is listed where there is no secret, for pollsters that also work without one.
pub const NO_SECRETS: &str = "No secrets found";

static BARBICAN: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "key-manager",
    root: Root::Endpoint,
    microversion: None,
};

static PAYLOAD: CallDef = CallDef::new(FAMILY, "GET", "/v1/secrets/{secret}/payload").role("observer");

register!(Registration::Family(Family::new(FAMILY, "Barbican secrets")));

register!(Registration::Discovery(
    DiscoveryPlugin::new("barbican", FAMILY, build)
        .namespaces(&["central"])
        .description(
            "Lists the secret whose id is the parameter, for pollsters that need their own credentials"
        )
        .scope(Scope::Shared)
        .partition(PartitionMode::Resource)
        .calls(&[PAYLOAD, TOKEN])
));

/// The payload of a secret; hidden in all output.
#[derive(Clone)]
pub struct Credentials(Vec<u8>);

impl Credentials {
    /// Returns the payload.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl ResourceBody for Credentials {
    fn describe(&self) -> Value {
        Value::Map(vec![("payload".into(), "***".into())])
    }
}

fn build(context: &BuildContext) -> Result<Arc<dyn Discovery>, BuildError> {
    Ok(Arc::new(Secrets(Session::of(context)?.service(&BARBICAN))))
}

struct Secrets(Service);

#[async_trait]
impl Discovery for Secrets {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        let id = run.parameter().unwrap_or_default().to_owned();
        let found = match id.as_str() {
            "" => None,
            id => self.payload(id, run).await?,
        };
        let resource = match found {
            Some(payload) => Resource::with_body(id, payload),
            None => Resource::new(NO_SECRETS),
        };
        Ok(run.push(resource).await?)
    }
}

impl Secrets {
    /// Returns the payload of a secret; `None` if the cloud has no Barbican.
    async fn payload(&self, id: &str, run: &DiscoveryRun) -> Result<Option<Credentials>, Failure> {
        let barbican = self.0.shared_by(run.members());
        let request = barbican.request(&PAYLOAD).segment(id).header("accept", "*/*");
        match request.bytes().await {
            Ok(payload) => Ok(Some(Credentials(payload))),
            Err(ApiError::NoEndpoint { .. }) => Ok(None),
            // The configured secret does not exist: that is an error, not an unsupported part of the cloud.
            Err(error) if error.status() == Some(404) => Err(Failure::transient(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}
