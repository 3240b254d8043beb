//! Helpers for agents that share synthetic resources through etcd.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nephoscope_tests::{Lab, Program, Sample, samples_in};
use serde_json::Value;

/// How many resources there are.
pub(crate) const RESOURCES: usize = 40;

/// The minimum.
const LEASE: Duration = Duration::from_secs(2);

/// A meter of the host itself, which is not shared.
const OWN: &str = "hardware.cpu.load.1min";

/// The folder of an agent with an etcd at these endpoints.
pub(crate) fn lab(id: &str, endpoints: &[String], more: &str) -> Lab {
    lab_with_lease(id, endpoints, LEASE, more)
}

/// The same, with a lease of this many seconds.
pub(crate) fn lab_with_lease(id: &str, endpoints: &[String], lease: Duration, more: &str) -> Lab {
    let endpoints = endpoints
        .iter()
        .map(|url| format!("\"{url}\""))
        .collect::<Vec<_>>();
    Lab::with(&format!(
        "agent: {{namespaces: [synthetic, host], id: {id}, host: host-{id}, state_dir: $LAB/state, shutdown_timeout: 3s}}\n\
         coordination: {{backend: etcd, endpoints: [{}], lease_ttl: {}s, {more}}}\n\
         notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}]}}\n\
         sources:\n\
         \x20 - {{name: shared, interval: 2, meters: [synthetic.cycle], discovery: [\"synthetic://{RESOURCES}\"]}}\n\
         \x20 - {{name: own, interval: 2, meters: [{OWN}]}}\n",
        endpoints.join(", "),
        lease.as_secs(),
    ))
}

/// Starts an agent, and waits until its API answers.
pub(crate) fn serving(lab: &Lab) -> Program {
    let mut program = lab.run();
    program.log("started");
    let admin = program.admin().to_owned();
    program.until("the admin socket", |_| admin.exists().then_some(()));
    program
}

/// The samples of shared resources in an agent's file.
pub(crate) fn samples(lab: &Lab) -> Vec<Sample> {
    shared(samples_in(&lab.path("samples")))
}

/// Filters the samples of shared resources.
pub(crate) fn shared(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.retain(|sample| sample.meter() != OWN);
    samples
}

/// Waits for two further samples of the host.
pub(crate) fn polls_its_host(program: &mut Program, lab: &Lab) {
    let own = || {
        let samples = samples_in(&lab.path("samples"));
        samples.iter().filter(|sample| sample.meter() == OWN).count()
    };
    let before = own();
    program.until("samples of the host", |_| (own() >= before + 2).then_some(()));
}

/// Waits for two further cycles in which these agents poll every shared resource.
pub(crate) fn whole_cycles(program: &mut Program, labs: &[&Lab]) {
    let cycles = || {
        let mut cycles: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for sample in labs.iter().flat_map(|lab| samples(lab)) {
            let resource = sample.resource().to_owned();
            cycles.entry(sample.volume() as u64).or_default().insert(resource);
        }
        cycles
    };
    let last = cycles().keys().next_back().copied();
    program.until("two more complete cycles", |_| {
        let whole = cycles()
            .into_iter()
            .filter(|(cycle, resources)| Some(*cycle) > last && resources.len() == RESOURCES);
        (whole.count() >= 2).then_some(())
    });
}

/// Waits until the agent reports no reason.
pub(crate) fn is_healthy(program: &mut Program) {
    program.until("an agent without a reason", |program| {
        codes(program).is_empty().then_some(())
    });
}

/// Waits until the agent lost a membership, and has another one.
pub(crate) fn joins_again(program: &mut Program) {
    program.until("another membership", |program| {
        let metrics = program.get("/metrics");
        let lost = metrics.metric("nephoscope_pool_lost_memberships_total", &[]);
        (lost >= 1.0 && metrics.metric("nephoscope_pool_member", &[]) == 1.0).then_some(())
    });
}

/// The codes of the reasons in `/readyz`.
pub(crate) fn codes(program: &Program) -> Vec<String> {
    let readiness = program.get("/readyz").json();
    let reasons = readiness["reasons"].as_array().unwrap();
    reasons
        .iter()
        .map(|reason| reason["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until the agent reports a reason.
pub(crate) fn has_reason(program: &mut Program, code: &str) {
    program.until(&format!("the reason {code}"), |program| {
        codes(program).iter().any(|found| found == code).then_some(())
    });
}

/// Waits until the agent reports a reason, and for its metric.
pub(crate) fn has_reason_and_metric(program: &mut Program, code: &str, metric: &str) {
    has_reason(program, code);
    let labels = [format!("reason=\"{metric}\"")];
    let labels = labels.each_ref().map(String::as_str);
    let series = format!("nephoscope_etcd_unhealthy_seconds{{{}}}", labels[0]);
    program.until(&format!("the metric {series}"), |program| {
        program.get("/metrics").body.contains(&series).then_some(())
    });
}

/// Waits until a plan lists this many members, including this agent.
pub(crate) fn divides_with(program: &mut Program, members: u64) {
    program.until("a plan with all members", |program| {
        let pool = &program.json("/api/v1/members")["pool"];
        let schedules = pool["schedules"].as_array()?;
        let whole = |schedule: &Value| schedule["members"] == members && schedule["listed"] == true;
        (!schedules.is_empty() && schedules.iter().all(whole)).then_some(())
    });
}

/// Waits for samples of two further cycles.
pub(crate) fn more_cycles(program: &mut Program, lab: &Lab) {
    let last = || samples(lab).iter().map(|sample| sample.volume() as u64).max();
    let before = last().unwrap_or_default();
    program.until("two more cycles", |_| (last() >= Some(before + 2)).then_some(()));
}
