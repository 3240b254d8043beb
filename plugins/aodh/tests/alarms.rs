//! Tests of alarms with the example of ceilometer's reference and with a simulated cloud.

use nephoscope_aodh as _;
use nephoscope_cloud::{Cloud, Size};
use nephoscope_plugin::testing::{Conformance, Kit};
use serde_json::json;

#[tokio::test]
async fn the_samples_are_those_of_ceilometer() {
    let cloud = Cloud::start(Size::of(0)).await;
    cloud.answers(
        "/alarming/v2/metrics",
        json!({ "evaluation_results": [
            { "alarm_id": "al-1", "project_id": "t1", "state_counters": { "ok": 2, "alarm": 5, "insufficient data": 0 } },
            { "alarm_id": "al-2", "project_id": "t1" },
        ] }),
    );
    let kit = Kit::new("aodh").options_of("openstack", cloud.options());
    let outcome = kit
        .pollster("alarm.evaluation_result")
        .resources_from("alarm")
        .poll()
        .await;
    insta::assert_snapshot!(outcome.json_lines());
    insta::assert_snapshot!(outcome.problems(), @"al-2: transient: the alarm has no `state_counters`");
}

#[tokio::test]
async fn the_family_conforms() {
    let cloud = Cloud::start(Size::of(30)).await;
    Conformance::of("aodh")
        .options_of("openstack", cloud.options())
        .check()
        .await;
}
