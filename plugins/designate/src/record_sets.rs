//! Numbers of record sets per zone.

use std::sync::Arc;

use nephoscope_openstack::{ApiError, Record, Service, Session, TOKEN, each};
use nephoscope_plugin::model::{MeterDef, Resource};
use nephoscope_plugin::{
    BuildContext, BuildError, CallDef, CallRate, Failure, PollRun, Pollster, PollsterPlugin, Registration,
    async_trait, register,
};
use serde::Deserialize;

use crate::{ALL_PROJECTS, DESIGNATE, FAMILY, NAMESPACES, ZONES, get};

const METER: &str = "dns.zone.recordsets";

static RECORD_SETS: CallDef = get("/v2/zones/{zone}/recordsets", CallRate::PerResource);

register!(Registration::Pollster(
    PollsterPlugin::new("dns.zone.recordsets", FAMILY, build)
        .namespaces(NAMESPACES)
        .description("Numbers of record sets of zones")
        .meters(&[MeterDef::gauge(
            METER,
            "recordset",
            "Number of record sets of the zone"
        )])
        .default_discovery("dns_zones")
        .endpoint("designate")
        .calls(&[RECORD_SETS, TOKEN])
));

struct RecordSets(Service);

/// The part of a page that contains the total of all pages.
#[derive(Deserialize)]
struct Page {
    metadata: Totals,
}

#[derive(Deserialize)]
struct Totals {
    total_count: u64,
}

fn build(context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
    Ok(Arc::new(RecordSets(Session::of(context)?.service(&DESIGNATE))))
}

#[async_trait]
impl Pollster for RecordSets {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        let ask = |designate: Service, zone: &Resource| {
            let id = zone.key().clone();
            zone.body::<Record>().map(|_| count(designate, id))
        };
        each(run, &self.0, ask, |zone, count, report| {
            if let Some(record) = zone.body::<Record>() {
                report.add(METER, &ZONES.subject(zone, record).shared(), count);
            }
        })
        .await
    }
}

/// Returns the number of record sets. The page size is 1, because only the total is used.
async fn count(designate: Service, zone: Arc<str>) -> Result<u64, ApiError> {
    let request = designate.request(&RECORD_SETS).segment(&*zone);
    let request = request.header(ALL_PROJECTS.0, ALL_PROJECTS.1).query("limit", 1);
    Ok(request.document::<Page>().await?.metadata.total_count)
}
