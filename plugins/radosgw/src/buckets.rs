//! Buckets of projects.

use std::collections::BTreeMap;
use std::sync::Arc;

use nephoscope_openstack::{ApiError, List, Request, Service, TOKEN, each};
use nephoscope_plugin::model::{MeterDef, Resource, Subject};
use nephoscope_plugin::{
    BuildContext, BuildError, Call, CallDef, CallRate, Failure, PollRun, Pollster, PollsterPlugin,
    Registration, async_trait, register,
};
use serde::Deserialize;

use crate::gateway::Gateway;
use crate::{FAMILY, NAMESPACES, get};

static BUCKETS: CallDef = get("/admin/bucket", "buckets=read");

const OBJECTS: &str = "radosgw.objects";
const SIZE: &str = "radosgw.objects.size";
const CONTAINERS: &str = "radosgw.objects.containers";
const BUCKET_OBJECTS: &str = "radosgw.containers.objects";
const BUCKET_SIZE: &str = "radosgw.containers.objects.size";

register!(Registration::Pollster(
    PollsterPlugin::new("radosgw", FAMILY, build)
        .namespaces(NAMESPACES)
        .description("Objects, their sizes and buckets of projects")
        .meters(&[
            MeterDef::gauge(OBJECTS, "object", "Number of objects of the project")
                .with_aliases(&["rgw.objects"]),
            MeterDef::gauge(SIZE, "B", "Size of the project's objects").with_aliases(&["rgw.objects.size"]),
            MeterDef::gauge(CONTAINERS, "object", "Number of buckets of the project")
                .with_aliases(&["rgw.objects.containers"]),
            MeterDef::gauge(BUCKET_OBJECTS, "object", "Number of objects of the bucket")
                .with_aliases(&["rgw.containers.objects"]),
            MeterDef::gauge(BUCKET_SIZE, "B", "Size of the bucket's objects")
                .with_aliases(&["rgw.containers.objects.size"]),
        ])
        .default_discovery("tenant")
        .endpoint(FAMILY)
        .calls(&[BUCKETS, TOKEN])
));

fn build(context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
    Ok(Arc::new(Buckets(Gateway::of(context)?)))
}

struct Buckets(Gateway);

/// A bucket in the gateway's answer.
#[derive(Deserialize)]
struct Bucket {
    bucket: String,
    /// By category: objects, and parts of incomplete uploads.
    #[serde(default)]
    usage: BTreeMap<String, Usage>,
}

#[derive(Deserialize)]
struct Usage {
    size_kb: u64,
    num_objects: u64,
}

impl Bucket {
    fn objects(&self) -> u64 {
        self.usage
            .values()
            .fold(0, |sum: u64, usage| sum.saturating_add(usage.num_objects))
    }

    /// Returns the size in bytes.
    fn size(&self) -> u64 {
        self.usage.values().fold(0, |sum: u64, usage| {
            sum.saturating_add(usage.size_kb.saturating_mul(1024))
        })
    }
}

#[async_trait]
impl Pollster for Buckets {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        let access = self.0.access()?;
        let ask = |service: Service, project: &Resource| {
            let request = access.about(&service, &BUCKETS, project.key());
            Some(list(request.query("stats", "true")))
        };
        each(
            run,
            access.service,
            ask,
            |project, buckets: Vec<Bucket>, report| {
                let project = project.key();
                let subject = Subject::new(project.clone()).project(project.clone()).shared();
                let sum = |of: fn(&Bucket) -> u64| buckets.iter().map(of).fold(0, u64::saturating_add);
                report.add(OBJECTS, &subject, sum(Bucket::objects));
                report.add(SIZE, &subject, sum(Bucket::size));
                report.add(CONTAINERS, &subject, buckets.len() as u64);
                for bucket in &buckets {
                    let subject = Subject::new(format!("{project}/{}", bucket.bucket))
                        .project(project.clone())
                        .shared();
                    report.add(BUCKET_OBJECTS, &subject, bucket.objects());
                    report.add(BUCKET_SIZE, &subject, bucket.size());
                }
            },
        )
        .await
    }

    fn rate(&self, call: &Call, _: &[Arc<str>]) -> Option<CallRate> {
        self.0.has_keys().then_some(call.rate)
    }
}

/// Returns all buckets, or an error: a sum of some of them would be a wrong bill.
async fn list(request: Request) -> Result<Vec<Bucket>, ApiError> {
    let mut listing = request.list(List::Document);
    let mut buckets = Vec::new();
    while let Some(bucket) = listing.next::<Bucket>().await? {
        buckets.push(bucket);
    }
    listing.ensure_complete()?;
    Ok(buckets)
}
