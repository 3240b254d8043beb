//! Evaluation results of Aodh's alarms.
//!
//! Names, units, ids and metadata are those of ceilometer's discovery `alarm` and meter `alarm.evaluation_result`. Each
//! alarm is a resource; ceilometer has one resource that contains all alarms.

use std::sync::Arc;

use nephoscope_openstack::{List, Record, Root, ServiceDef, Session, TOKEN, Table, number, unknown_resource};
use nephoscope_plugin::model::{MeterDef, Resource, Value};
use nephoscope_plugin::{
    BuildContext, BuildError, CallDef, DiscoveryPlugin, Failure, Family, PartitionMode, PollRun, Pollster,
    PollsterPlugin, Registration, Scope, async_trait, register,
};

const FAMILY: &str = "aodh";
const NAMESPACES: &[&str] = &["central"];
const METER: &str = "alarm.evaluation_result";

static AODH: ServiceDef = ServiceDef {
    name: FAMILY,
    service_type: "alarm",
    root: Root::Endpoint,
    microversion: None,
};

static ALARMS: Table = Table {
    service: &AODH,
    call: CallDef::new(FAMILY, "GET", "/v2/metrics").role("admin"),
    list: List::Member("evaluation_results"),
    request: |request| request.query("all_projects", "true"),
    key: |alarm| alarm.text("alarm_id").map(str::to_owned),
    project: &["project_id"],
    user: &[],
    metadata: &[],
    members: &["alarm_id", "state_counters"],
    // The metadata differs per sample: see `EvaluationResults`.
    meters: &[],
};

register!(Registration::Family(Family::new(FAMILY, "Aodh alarms")));

register!(Registration::Discovery(
    DiscoveryPlugin::new("alarm", FAMILY, |context| ALARMS.discovery(context))
        .namespaces(NAMESPACES)
        .description("Lists the evaluated alarms of all projects")
        .scope(Scope::Shared)
        .partition(PartitionMode::Listing)
        .calls(&[ALARMS.call, TOKEN])
));

register!(Registration::Pollster(
    PollsterPlugin::new("alarm.evaluation_result", FAMILY, build)
        .namespaces(NAMESPACES)
        .description("Evaluations of alarms by resulting state")
        .meters(&[MeterDef::gauge(
            METER,
            "evaluation_result_count",
            "Evaluations with the result in the metadata `alarm_state`"
        )])
        .default_discovery("alarm")
));

fn build(context: &BuildContext) -> Result<Arc<dyn Pollster>, BuildError> {
    Session::of(context)?;
    Ok(Arc::new(EvaluationResults))
}

struct EvaluationResults;

#[async_trait]
impl Pollster for EvaluationResults {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        while let Some(page) = run.next_page().await {
            for alarm in page.iter() {
                match alarm.body::<Record>() {
                    Some(record) => report(run, alarm, record).await?,
                    None => run.fail(alarm, unknown_resource()),
                }
            }
        }
        Ok(())
    }
}

/// Reports a sample for each state, in the order of Aodh's answer; all have the alarm's resource id.
async fn report(run: &mut PollRun, alarm: &Resource, record: &Record) -> Result<(), Failure> {
    let Value::Map(counts) = record.get("state_counters") else {
        run.fail(alarm, Failure::transient("the alarm has no `state_counters`"));
        return Ok(());
    };
    let mut report = run.report(alarm);
    let mut failure = None;
    for (state, count) in counts {
        match number(count) {
            Ok(Some(count)) => {
                let subject = ALARMS.subject(alarm, record);
                let subject = subject.metadata("alarm_state", state.clone()).shared();
                report.add(METER, &subject, count);
            }
            Ok(None) => {}
            Err(reason) => failure = Some(reason),
        }
    }
    report.send().await?;
    if let Some(reason) = failure {
        run.fail(alarm, Failure::transient(reason));
    }
    Ok(())
}
