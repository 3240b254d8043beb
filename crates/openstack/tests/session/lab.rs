//! A session with a simulated cloud, and service declarations as in plugins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_cloud::{Cloud, Size};
use nephoscope_openstack::{
    ApiError, List, Listing, Microversion, MicroversionDef, Root, Service, ServiceDef, Session,
};
use nephoscope_plugin::{
    BlockingPool, BuildContext, BuildError, CallCounts, CallDef, CallTotals, Circuit, Families,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The time limit of each operation.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const GLANCE: ServiceDef = service("glance", "image", None);
pub(crate) const NEUTRON: ServiceDef = service("neutron", "network", None);
pub(crate) const DESIGNATE: ServiceDef = service("designate", "dns", None);
pub(crate) const CINDER: ServiceDef = service(
    "cinder",
    "block-storage",
    Some(MicroversionDef {
        header: "volume",
        version: Microversion(3, 64),
        call: call("cinder", "/v3/"),
    }),
);

pub(crate) const IMAGES: CallDef = call("glance", "/v2/images");
pub(crate) const VOLUMES: CallDef = call("cinder", "/v3/volumes/detail");
pub(crate) const ZONES: CallDef = call("designate", "/v2/zones");
pub(crate) const RECORD_SETS: CallDef = call("designate", "/v2/zones/{zone}/recordsets");
pub(crate) const FIREWALLS: CallDef = call("neutron", "/v2.0/fwaas/firewall_groups");

const fn service(
    name: &'static str,
    service_type: &'static str,
    microversion: Option<MicroversionDef>,
) -> ServiceDef {
    ServiceDef {
        name,
        service_type,
        root: Root::Endpoint,
        microversion,
    }
}

const fn call(service: &'static str, path: &'static str) -> CallDef {
    CallDef::new(service, "GET", path).role("reader")
}

/// A cloud, and a session with it.
pub(crate) struct Lab {
    pub(crate) cloud: Arc<Cloud>,
    session: Arc<Session>,
    calls: CallCounts,
}

impl Lab {
    pub(crate) async fn start(size: Size) -> Self {
        Self::with(size, json!({})).await
    }

    /// Starts with these options in addition to those of the cloud; null removes one.
    pub(crate) async fn with(size: Size, options: Value) -> Self {
        Self::at(&Arc::new(Cloud::start(size).await), options)
    }

    pub(crate) fn at(cloud: &Arc<Cloud>, more: Value) -> Self {
        let mut options = cloud.options();
        merge(&mut options, &more);
        let (session, calls) = build(&options).unwrap();
        Self {
            cloud: cloud.clone(),
            session,
            calls,
        }
    }

    pub(crate) fn service(&self, def: &'static ServiceDef) -> Service {
        self.session.service(def)
    }

    pub(crate) async fn images(&self) -> Result<Vec<String>, ApiError> {
        let request = self.service(&GLANCE).request(&IMAGES).paged();
        in_time(ids(&mut request.list(List::Member("images")))).await
    }

    pub(crate) fn volume_listing(&self) -> Listing {
        let request = self.service(&CINDER).request(&VOLUMES);
        request
            .query("all_tenants", "True")
            .paged()
            .list(List::Member("volumes"))
    }

    pub(crate) async fn volumes(&self) -> Result<Vec<String>, ApiError> {
        in_time(ids(&mut self.volume_listing())).await
    }

    pub(crate) fn calls(&self) -> Vec<CallTotals> {
        self.calls.totals()
    }

    pub(crate) fn circuit(&self, service: &str) -> Option<Circuit> {
        let circuits = self.calls.circuits();
        circuits
            .into_iter()
            .find(|(name, _)| *name == service)
            .map(|(_, circuit)| circuit)
    }
}

/// Creates a session with these options.
pub(crate) fn build(options: &Value) -> Result<(Arc<Session>, CallCounts), BuildError> {
    let calls = CallCounts::default();
    Ok((Session::of(&context(options, calls.clone()))?, calls))
}

/// Creates a plugin's build context with these options.
pub(crate) fn context(options: &Value, calls: CallCounts) -> BuildContext {
    let families = Families::new(BTreeMap::from([("openstack".to_owned(), options.clone())]), calls);
    BuildContext::new("node1".into(), "glance", families, BlockingPool::default())
}

/// Adds members to an object; null removes one.
pub(crate) fn merge(all: &mut Value, more: &Value) {
    let all = all.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
}

/// Returns the ids of all entries.
pub(crate) async fn ids(listing: &mut Listing) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct Entry {
        id: String,
    }
    let mut ids = Vec::new();
    while let Some(entry) = listing.next::<Entry>().await? {
        ids.push(entry.id);
    }
    Ok(ids)
}

pub(crate) fn status_of<T>(result: Result<T, ApiError>) -> Option<u16> {
    result.err()?.status()
}

/// Awaits a future with a time limit.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("the future completes in time")
}

/// Returns an endpoint without a listener.
pub(crate) fn closed_endpoint() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/image", listener.local_addr().unwrap())
}
