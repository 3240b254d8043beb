//! Each kind of violation is found, and no guaranteed behaviour is reported as one.

use std::collections::BTreeSet;

use nephoscope_model::{CycleId, RunIds, ScheduleId, Timestamp};
use serde_json::json;

use super::*;
use crate::Sample;

const EVERY: &str = "every:8:0";
const INTERVAL: i64 = 8000;
/// The machine starts at the epoch: nominal starts are boot times.
const FIRST: i64 = 80_000;
const METER: &str = "m";

/// Owner, first and second successor of `r0` are a, b, c; of `r1` b, c, a; of `r2` c, a, b.
fn ranking(key: &str, members: &[&str]) -> Vec<usize> {
    let turn = usize::from(key.as_bytes()[1] - b'0');
    let preferred =
        |place: &usize| (members[*place].as_bytes()[0] as usize + 3 - usize::from(b'a') - turn) % 3;
    let mut order: Vec<_> = (0..members.len()).collect();
    order.sort_by_key(preferred);
    order
}

fn cycle(number: i64) -> Cycle {
    Cycle {
        schedule: EVERY.into(),
        start: FIRST + number * INTERVAL,
    }
}

/// Seconds after the edge of a cycle.
fn at(number: i64, seconds: f64) -> f64 {
    cycle(number).start as f64 / 1000.0 + seconds
}

fn member(agent: &str) -> PlanMember {
    PlanMember {
        agent: agent.into(),
        incarnation: format!("{agent}1"),
        units: BTreeSet::from(["u".to_owned()]),
    }
}

fn plan(number: i64, agents: &[&str]) -> Plan {
    Plan {
        cycle: cycle(number),
        at: at(number, -0.8),
        members: agents.iter().map(|agent| member(agent)).collect(),
    }
}

fn sample(agent: &str, resource: &str, number: i64, seconds: f64) -> Written {
    Written {
        agent: agent.into(),
        resource: resource.into(),
        meter: METER.into(),
        cycle: cycle(number),
        id: format!("{resource} {number}"),
        began: at(number, seconds - 0.1),
        finished: at(number, seconds),
    }
}

fn fault(effect: Effect, from: f64, to: f64) -> Fault {
    Fault { from, to, effect }
}

/// Three agents, three resources, and six cycles without a fault; the fourth cycle is the last one to judge.
fn healthy() -> Run {
    let agents = ["a", "b", "c"];
    let resource = |key: &str| Resource {
        key: key.into(),
        unit: "u".into(),
    };
    let mut written = Vec::new();
    for number in 0..7 {
        for (agent, key) in agents.iter().zip(["r0", "r1", "r2"]) {
            written.push(sample(agent, key, number, 0.5));
        }
    }
    Run {
        schedules: vec![Schedule {
            id: EVERY.into(),
            interval: INTERVAL,
            offset: 0,
            resources: ["r0", "r1", "r2"].map(resource).to_vec(),
            meters: vec![Meter {
                name: METER.into(),
                everywhere: true,
            }],
        }],
        epoch: 0.0,
        end: at(7, 0.0),
        lease: Lease {
            ttl: 5.0,
            pauses: false,
        },
        slack: 0.25,
        written,
        plans: (0..7).map(|number| plan(number, &agents)).collect(),
        joined: agents
            .map(|agent| Joined {
                agent: agent.into(),
                incarnation: format!("{agent}1"),
                at: at(0, -5.0),
            })
            .to_vec(),
        gone: Vec::new(),
        gave_up: Vec::new(),
        skipped: Vec::new(),
        counted: Vec::new(),
        faults: Vec::new(),
        silences: Vec::new(),
    }
}

impl Run {
    fn without(mut self, resource: &str, number: i64) -> Self {
        self.written
            .retain(|sample| sample.resource != resource || sample.cycle != cycle(number));
        self
    }

    fn with(mut self, sample: Written) -> Self {
        self.written.push(sample);
        self
    }

    /// The agent of cycle `number` died, or lost its lease, this many seconds after the edge.
    fn dead(mut self, agent: &str, number: i64, seconds: f64) -> Self {
        self.gone.push(Gone {
            incarnation: format!("{agent}1"),
            at: at(number, seconds),
        });
        self.faults.push(fault(
            Effect::Death,
            at(number, seconds - 5.0),
            at(number, seconds),
        ));
        // Later plans omit it: its resource is assigned to the next member.
        for plan in &mut self.plans {
            if plan.cycle.start > cycle(number).start {
                plan.members.retain(|member| member.agent != agent);
            }
        }
        let next = match agent {
            "a" => "b",
            "b" => "c",
            _ => "a",
        };
        for sample in &mut self.written {
            if sample.agent == agent && sample.cycle.start > cycle(number).start {
                sample.agent = next.into();
            }
        }
        self
    }
}

/// The findings: kind, resource and cycle of samples; only the kind of others.
fn found(run: &Run) -> Vec<String> {
    let verdict = judge(run, &ranking);
    let shown = verdict.findings.iter().map(|finding| match &finding.place {
        Place::Sample {
            cycle: of, resource, ..
        } => format!("{:?} {resource} {}", finding.kind, (of.start - FIRST) / INTERVAL),
        _ => format!("{:?}", finding.kind),
    });
    shown.collect()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_run_without_a_fault_is_clean() {
    let verdict = judge(&healthy(), &ranking);
    assert_eq!(verdict.findings, []);
    // Cycles 0 to 3: later ones are too close to the end of the run.
    assert_eq!((verdict.judged, verdict.excused), (12, 0));
}

#[test]
fn a_missing_sample_is_found_only_in_a_judged_cycle() {
    let run = healthy().without("r1", 2).without("r2", 5);
    assert_eq!(found(&run), ["Missing r1 2"]);
    let verdict = judge(&run, &ranking);
    let text = verdict.violations().next().expect("a violation").to_string();
    assert_eq!(
        text,
        "Missing m of r1 in every:8:0@96000 []: b owned it and was alive"
    );
}

#[test]
fn a_double_without_a_reason_is_found() {
    // By the owner itself, and by an agent out of turn.
    assert_eq!(
        found(&healthy().with(sample("a", "r0", 1, 2.0))),
        ["DoubledUnexplained r0 1"]
    );
    assert_eq!(
        found(&healthy().with(sample("b", "r0", 1, 2.0))),
        ["DoubledUnexplained r0 1", "OutsidePlan r0 1"]
    );
}

#[test]
fn without_takeover_the_gap_after_a_death_is_found() {
    let run = healthy().dead("a", 1, 3.0);
    assert_eq!(found(&run), nothing(), "it wrote all samples before its death");
    let run = run.without("r0", 1);
    assert_eq!(found(&run), ["Missing r0 1"]);
    assert_eq!(found(&run.with(sample("b", "r0", 1, 3.2))), nothing());
}

#[test]
fn a_successor_explains_a_double_only_in_its_turn() {
    let run = healthy().dead("a", 1, 3.0);
    assert_eq!(
        found(&run.clone().with(sample("b", "r0", 1, 3.2))),
        ["DoubledExplained r0 1"]
    );
    let early = run.clone().with(sample("b", "r0", 1, 2.0));
    assert_eq!(found(&early), ["DoubledUnexplained r0 1", "OutsidePlan r0 1"]);
    let out_of_turn = run.with(sample("c", "r0", 1, 3.2));
    assert_eq!(
        found(&out_of_turn),
        ["DoubledUnexplained r0 1", "OutsidePlan r0 1"]
    );
}

#[test]
fn it_is_the_second_successors_turn_when_the_first_is_gone_too() {
    let run = healthy().dead("a", 1, 3.0).dead("b", 1, 6.0);
    let run = run
        .without("r0", 1)
        .without("r0", 2)
        .without("r0", 3)
        .without("r1", 2)
        .without("r1", 3);
    let all = [
        sample("c", "r0", 1, 6.5),
        sample("c", "r0", 2, 0.5),
        sample("c", "r0", 3, 0.5),
        sample("c", "r1", 2, 0.5),
        sample("c", "r1", 3, 0.5),
    ];
    assert_eq!(found(&all.into_iter().fold(run, Run::with)), nothing());
}

#[test]
fn the_unit_of_a_member_that_gave_it_up_is_taken_over() {
    let mut run = healthy().without("r0", 1).with(sample("b", "r0", 1, 4.0));
    assert_eq!(found(&run), ["OutsidePlan r0 1"]);
    run.gave_up.push(GaveUp {
        incarnation: "a1".into(),
        cycle: cycle(1),
        unit: "u".into(),
        at: at(1, 3.5),
    });
    assert_eq!(found(&run), nothing());
    run.gave_up[0].unit = "another".into();
    assert_eq!(found(&run), ["OutsidePlan r0 1"]);
}

#[test]
fn without_the_fence_a_poll_after_the_lease_is_found() {
    // It was suspended, its lease expired 3 s after the edge, and it resumes at 4 s.
    let run = healthy()
        .dead("a", 1, 3.0)
        .without("r0", 1)
        .with(sample("a", "r0", 1, 4.0));
    assert_eq!(found(&run), ["AfterFence r0 1"]);
    let both = run.with(sample("b", "r0", 1, 3.5));
    assert_eq!(found(&both), ["DoubledExplained r0 1", "AfterFence r0 1"]);
}

#[test]
fn the_last_agent_alive_may_finish_its_cycle_unless_on_loss_is_pause() {
    let mut run = healthy()
        .dead("a", 1, 3.0)
        .without("r0", 1)
        .with(sample("a", "r0", 1, 4.0));
    for other in ["b1", "c1"] {
        run.gone.push(Gone {
            incarnation: other.into(),
            at: at(1, 2.0),
        });
    }
    let after = |run: &Run| found(run).iter().any(|found| found == "AfterFence r0 1");
    assert!(!after(&run));
    run.lease.pauses = true;
    assert!(after(&run));
}

#[test]
fn without_units_a_share_outside_of_the_plan_is_found() {
    let mut run = healthy();
    for plan in &mut run.plans {
        plan.members[0].units = BTreeSet::from(["another".to_owned()]);
    }
    // `r0` belongs to b now. An agent that ignores units polls it anyway.
    let expected: Vec<_> = (0..4).map(|number| format!("OutsidePlan r0 {number}")).collect();
    assert_eq!(found(&run), expected);
    for sample in &mut run.written {
        if sample.resource == "r0" {
            sample.agent = "b".into();
        }
    }
    assert_eq!(found(&run), nothing());
}

#[test]
fn a_takeover_later_than_a_lease_and_a_second_is_found() {
    // a falls silent 1 s before the edge of cycle 1, whose plan lists it, and its key is removed 4 s after that edge.
    let mut run = healthy().dead("a", 1, 4.0).without("r0", 1);
    run.silences.push(Silence {
        agent: "a".into(),
        from: at(1, -1.0),
        to: None,
    });
    let taken_over = |run: &Run, seconds: f64| run.clone().with(sample("b", "r0", 1, seconds + 0.1));
    let soon = judge(&taken_over(&run, 4.2), &ranking);
    assert_eq!(soon.findings, []);
    let [gap] = soon.gaps.as_slice() else {
        panic!("{:?}", soon.gaps);
    };
    let near = |one: f64, other: f64| (one - other).abs() < 1e-6;
    assert!(
        near(gap.silent, 4.2) && near(gap.known, 0.2) && near(gap.bound, 6.25),
        "it had no owner from the edge on: {gap:?}"
    );
    let late = taken_over(&run, 6.3);
    assert_eq!(found(&late), ["TakenOverLate r0 1"]);
    // etcd kept the key beyond its lease, which is not the agents' fault.
    let mut kept = late.clone();
    kept.gone[0].at = at(1, 6.0);
    assert_eq!(found(&kept), nothing());
    // Without a silence, and with an unavailable etcd, there is no verdict.
    let mut unknown = late.clone();
    unknown.silences[0].from = at(0, -6.0);
    assert_eq!(judge(&unknown, &ranking).gaps, [], "that was before it joined");
    let mut away = late;
    away.faults.push(fault(Effect::EtcdAway, at(1, 1.0), at(1, 2.0)));
    assert_eq!(found(&away), nothing());
    // A resource that its owner polled has no gap, nor one that is skipped at the edge.
    let owner = run.clone().with(sample("a", "r0", 1, 0.5));
    assert_eq!(judge(&owner, &ranking).gaps, []);
    let mut before = taken_over(&run, 0.1);
    before.gone[0].at = at(1, -0.1);
    assert_eq!(judge(&before, &ranking).gaps, []);
}

#[test]
fn an_agent_that_is_not_in_the_plan_is_found() {
    let run = healthy().with(sample("d", "r2", 0, 1.0));
    assert_eq!(found(&run), ["DoubledUnexplained r2 0", "OutsidePlan r2 0"]);
}

#[test]
fn a_second_or_older_plan_is_found() {
    let mut run = healthy();
    run.plans.insert(2, plan(1, &["b", "c"]));
    assert_eq!(found(&run), ["PlanChanged"]);
    let mut run = healthy();
    run.plans.insert(4, plan(2, &["a", "b", "c"]));
    assert_eq!(found(&run), ["PlanChanged"], "an older plan");
    run.plans[4].at = at(3, 0.5);
    run.faults
        .push(fault(Effect::EtcdEmptied, at(3, -1.0), at(3, 0.0)));
    assert_eq!(found(&run), nothing(), "an empty etcd knows no plan");
}

#[test]
fn a_reused_incarnation_is_found() {
    let mut run = healthy().dead("a", 1, 3.0);
    let joined = |incarnation: &str| Joined {
        agent: "a".into(),
        incarnation: incarnation.into(),
        at: at(1, 5.0),
    };
    run.joined.push(joined("a2"));
    assert_eq!(found(&run), nothing());
    run.joined.push(joined("a1"));
    assert_eq!(found(&run), ["IncarnationReused"]);
}

#[test]
fn the_same_sample_with_another_id_is_found() {
    let mut other = sample("b", "r0", 1, 3.2);
    other.id = "another".into();
    let run = healthy().dead("a", 1, 3.0).with(other);
    assert_eq!(found(&run), ["DoubledExplained r0 1", "OtherId r0 1"]);
}

#[test]
fn a_cycle_that_an_agent_reports_as_not_polled_is_excused_and_counted() {
    let mut run = healthy().without("r1", 2);
    run.skipped.push(Skipped {
        agent: "b".into(),
        cycle: cycle(2),
    });
    run.counted.push(Counted {
        agent: "b".into(),
        schedule: EVERY.into(),
        cycles: 1,
    });
    let verdict = judge(&run, &ranking);
    assert_eq!(
        (verdict.findings.len(), verdict.judged, verdict.excused),
        (0, 11, 1)
    );
    run.counted[0].cycles = 2;
    assert_eq!(found(&run), ["Miscounted"]);
    run.skipped[0].agent = "c".into();
    run.counted.clear();
    assert_eq!(found(&run), ["Missing r1 2"], "c did not own it");
}

#[test]
fn only_a_cut_off_agent_may_continue() {
    // a does not reach etcd from cycle 1 on, and continues in cycle 2, which the others divided without it.
    let cut_off = |agent: &str| Effect::CutOff(BTreeSet::from([agent.to_owned()]));
    let mut run = healthy().dead("a", 1, 4.0).with(sample("a", "r0", 2, 0.5));
    run.faults = vec![fault(cut_off("a"), at(1, -1.0), at(2, 6.0))];
    assert_eq!(found(&run), ["DoubledExplained r0 2"]);
    // It knows no plan of the time in between, however long that is.
    let mut long = healthy().dead("a", 1, 4.0).with(sample("a", "r0", 3, 0.5));
    long.plans.push(plan(7, &["b", "c"]));
    long.faults = vec![fault(cut_off("a"), at(1, -1.0), at(5, 6.0))];
    assert_eq!(found(&long), ["DoubledExplained r0 3"]);
    run.faults = vec![fault(cut_off("c"), at(1, -1.0), at(2, 6.0))];
    assert_eq!(found(&run), ["DoubledUnexplained r0 2", "OutsidePlan r0 2"]);
}

#[test]
fn without_etcd_agents_continue_with_their_last_plans() {
    let mut run = healthy();
    run.plans.retain(|plan| plan.cycle != cycle(2));
    assert_eq!(
        found(&run).len(),
        3,
        "without a fault every cycle needs a plan: {:?}",
        found(&run)
    );
    run.faults = vec![fault(Effect::EtcdAway, at(1, 1.0), at(2, 6.0))];
    assert_eq!(found(&run), nothing());
    assert_eq!(
        found(&run.clone().without("r1", 2)),
        ["Missing r1 2"],
        "a plan listed it"
    );
    let stranger = run.with(sample("c", "r0", 2, 1.0));
    assert_eq!(found(&stranger), ["DoubledUnexplained r0 2", "OutsidePlan r0 2"]);
}

#[test]
fn a_wiped_etcd_may_double_a_cycle_but_loses_none() {
    // a and b are in the second plan of cycle 2; by the first one, c had polled `r2`.
    let mut run = healthy().with(sample("a", "r2", 2, 3.0));
    run.plans.insert(3, plan(2, &["a", "b"]));
    run.faults = vec![fault(Effect::EtcdEmptied, at(2, 1.0), at(2, 2.0))];
    run.plans[3].at = at(2, 2.0);
    assert_eq!(found(&run), ["DoubledExplained r2 2"]);
    assert_eq!(found(&run.without("r2", 2)), ["Missing r2 2"]);
}

#[test]
fn a_meter_that_not_every_agent_requests_is_written_at_most_once() {
    let mut run = healthy().without("r1", 2);
    run.schedules[0].meters[0].everywhere = false;
    assert_eq!(found(&run), nothing());
    let run = run.dead("a", 1, 3.0).with(sample("b", "r0", 1, 3.2));
    assert_eq!(found(&run), ["DoubledUnexplained r0 1"]);
}

#[test]
fn without_a_guarantee_nothing_is_judged() {
    let mut run = healthy().without("r0", 2);
    run.faults = vec![fault(Effect::Anything, at(2, 1.0), at(2, 2.0))];
    let verdict = judge(&run, &ranking);
    assert_eq!(verdict.findings, []);
    // The plan of the next cycle may still list dead members.
    assert_eq!((verdict.judged, verdict.excused), (6, 6));
}

#[test]
fn a_schedule_that_never_had_a_plan_is_found() {
    let mut run = healthy();
    run.plans.clear();
    assert_eq!(found(&run), ["Missing"]);
}

#[test]
fn the_cycle_of_a_sample_is_found_by_its_id() {
    let schedules = healthy().schedules;
    let line = |number: i64, finished: f64| {
        let start = cycle(number).start;
        let of = CycleId::new(
            ScheduleId::new(EVERY),
            Timestamp::from_millis(start),
            start / INTERVAL,
        );
        let id = RunIds::new("", &of, "synthetic")
            .resource("r0")
            .sample(METER, "r0", 0);
        Sample(json!({
            "counter_name": METER, "resource_id": "r0", "message_id": id.to_string(), "monotonic_time": finished,
            "timestamp": Timestamp::from_micros(((finished - 0.25) * 1e6) as i64).to_string(),
        }))
    };
    let mut files = Files::new(&schedules, 0.0, "synthetic");
    // On time; taken over and finished in the next cycle; and with a time outside of that cycle.
    let lines = vec![line(2, at(2, 0.5)), line(2, at(3, 4.0)), line(2, at(1, 0.5))];
    let (written, unknown) = files.read("a", lines);
    let read: Vec<_> = written
        .iter()
        .map(|sample| (&sample.cycle, sample.began, sample.finished))
        .collect();
    assert_eq!(
        read,
        [
            (&cycle(2), at(2, 0.25), at(2, 0.5)),
            (&cycle(2), at(3, 3.75), at(3, 4.0))
        ]
    );
    assert_eq!(
        (written[0].agent.as_str(), written[0].resource.as_str()),
        ("a", "r0")
    );
    assert_eq!(unknown.len(), 1);
}
