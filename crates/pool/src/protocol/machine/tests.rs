//! Tests of single events of the machine that the model does not cover: notices, requests and timing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Unit;
use nephoscope_model::{CycleId, PartitionMode, ScheduleId, Timestamp};

use super::super::cycle::Cycle;
use super::*;
use crate::protocol::ranking::{KeyHash, MemberHash, first};
use crate::protocol::{
    Condition, Edge, GiveUps, InvalidReason, InvalidRecord, LeaseState, Marks, Member, Membership, Plan,
    PlanMember, Reason, Session, Step, UnitSet, Versions, WorkName,
};

const WALL: i64 = 1_700_000_000_000;

fn now(millis: u64) -> Now {
    Now {
        boot: BootTime::after_boot(Duration::from_millis(millis)),
        wall: Timestamp::from_millis(WALL + millis as i64),
    }
}

fn id(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

fn schedule() -> ScheduleId {
    ScheduleId::new("every:10:0")
}

fn unit() -> Unit {
    Unit {
        scope: nephoscope_model::Scope::Shared,
        schedule: schedule(),
        discovery: "volumes".into(),
        mode: PartitionMode::Resource,
    }
}

fn cycle(start: u64) -> CycleId {
    CycleId::new(schedule(), now(start).wall, 0)
}

fn edge(start: u64) -> Edge {
    Edge {
        cycle: cycle(start),
        edge: now(start).boot,
        interval: Duration::from_secs(10),
    }
}

fn work(start: u64) -> WorkName {
    WorkName {
        schedule: schedule(),
        start: now(start).wall,
        takeover: None,
    }
}

fn machine(on_loss: OnLoss) -> Machine {
    Machine::new(Options {
        id: id("b"),
        host: "host-b".into(),
        group_prefix: "".into(),
        lease_ttl: Duration::from_secs(5),
        request_timeout: Duration::from_secs(1),
        on_loss,
    })
}

fn register() -> Event {
    Event::Register(RegisteredUnits {
        units: vec![unit()],
        meters: 1,
        in_progress: Vec::new(),
    })
}

fn units() -> UnitSet {
    UnitSet::from([UnitHash::of("", &unit())])
}

fn member(incarnation: u128, meters: u64) -> Value {
    Value::Member(Member {
        incarnation: Incarnation(incarnation),
        versions: Versions::CURRENT,
        host: "host-a".into(),
        leaving: false,
        schedules: [(schedule(), units())].into(),
        meters,
    })
}

fn entry(key: Key, revision: i64, content: Content) -> Entry {
    Entry {
        key,
        revision: Revision(revision),
        created: Revision(revision),
        content,
    }
}

fn others_key(revision: i64) -> Entry {
    entry(Key::Member(id("a")), revision, Content::Value(member(1, 1)))
}

/// A plan by the other member, for both.
fn plan(start: u64, written: u64) -> Value {
    let member = |name: &str, incarnation| PlanMember {
        id: id(name),
        incarnation: Incarnation(incarnation),
        units: Arc::new(units()),
    };
    Value::Plan(Plan {
        start: now(start).wall,
        written: now(written).wall,
        writer: id("a"),
        versions: Versions::CURRENT,
        members: [member("a", 1), member("b", 2)].into(),
    })
}

fn snapshot(revision: i64, entries: Vec<Entry>) -> Snapshot {
    Snapshot {
        revision: Revision(revision),
        entries,
    }
}

fn session(at: u64, incarnation: u128, snapshot: Snapshot) -> Event {
    Event::Session(Session {
        incarnation: Incarnation(incarnation),
        sent: now(at).boot,
        snapshot,
    })
}

fn written(revision: i64) -> Event {
    Event::Written(Key::Member(id("b")), Written::Done(Revision(revision)))
}

/// A member with an older one in the pool, which has started its share of the plan for the cycle at 10 s.
fn polling(on_loss: OnLoss) -> Machine {
    let mut machine = machine(on_loss);
    machine.step(now(0), register());
    machine.step(now(0), session(0, 2, snapshot(5, vec![others_key(5)])));
    machine.step(now(0), written(6));
    machine.step(
        now(8_000),
        Event::KeptAlive {
            sent: now(8_000).boot,
        },
    );
    machine.step(now(8_000), Event::Prepare(edge(10_000)));
    let planned = entry(Key::Plan(schedule()), 7, Content::Value(plan(10_000, 9_000)));
    machine.step(now(9_000), Event::Watched(planned));
    assert!(matches!(
        machine.plan(now(10_000), &cycle(10_000)),
        PlanAnswer::Assigned(_)
    ));
    machine
}

fn notices(actions: Vec<Action>) -> Vec<String> {
    let reported = actions.into_iter().filter_map(|action| match action {
        Action::Notice(notice) => Some(notice.to_string()),
        _ => None,
    });
    reported.collect()
}

#[test]
fn an_agent_without_shared_units_requests_nothing() {
    let mut machine = machine(OnLoss::Continue);
    let units = RegisteredUnits {
        units: Vec::new(),
        meters: 0,
        in_progress: Vec::new(),
    };
    assert_eq!(machine.step(now(0), Event::Register(units)), []);
    assert_eq!(machine.status(now(0).boot).membership, Membership::None);
    assert_eq!(
        machine.plan(now(0), &cycle(0)),
        PlanAnswer::NoShare(NoShare::NotRegistered)
    );
}

#[test]
fn the_key_is_written_after_the_watches_opened_and_only_if_the_id_is_free() {
    let mut machine = machine(OnLoss::Continue);
    assert_eq!(
        machine.step(now(0), register()),
        [Action::Join {
            after: Duration::ZERO
        }]
    );
    let actions = machine.step(now(100), session(0, 2, snapshot(5, Vec::new())));
    let own = Key::Member(id("b"));
    let [Action::Write { key, only_if, .. }] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(
        (key, &only_if[..]),
        (&own, &[Condition::Created(own.clone(), Revision::NONE)][..])
    );

    let holder = entry(own.clone(), 3, Content::Value(member(9, 1)));
    let rejected = Event::Written(own, Written::Rejected(snapshot(5, vec![holder.clone()])));
    let actions = machine.step(now(200), rejected.clone());
    assert!(
        actions.contains(&Action::Join {
            after: Duration::from_millis(250)
        }),
        "{actions:?}"
    );
    assert_eq!(
        notices(actions),
        ["agent.id is already in use by an agent on host host-a"]
    );
    let duplicate = Reason::DuplicateId {
        host: "host-a".to_owned(),
    };
    assert!(duplicate.stops_polling());
    assert_eq!(machine.status(now(200).boot).reasons, [duplicate]);

    // It keeps trying, less often, and does not repeat its notice.
    machine.step(now(500), session(500, 3, snapshot(5, vec![holder])));
    let actions = machine.step(now(600), rejected);
    assert_eq!(
        actions,
        [Action::Join {
            after: Duration::from_millis(500)
        }]
    );
}

#[test]
fn a_single_member_writes_the_plan_before_the_edge_but_not_in_its_first_two_seconds() {
    let mut machine = machine(OnLoss::Continue);
    machine.step(now(0), register());
    machine.step(now(0), session(0, 2, snapshot(5, Vec::new())));
    machine.step(now(0), written(6));
    machine.step(now(1_500), Event::Prepare(edge(3_000)));
    machine.step(
        now(1_500),
        Event::KeptAlive {
            sent: now(1_500).boot,
        },
    );
    assert_eq!(machine.next_tick(), Some(now(2_000).boot));
    assert_eq!(machine.step(now(1_999), Event::Tick), []);
    let actions = machine.step(now(2_000), Event::Tick);
    let [
        Action::Write {
            value: Value::Plan(plan),
            only_if,
            ..
        },
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(plan.start, cycle(3_000).start);
    let conditions = [
        Condition::Unchanged(Key::Plan(schedule()), Revision::NONE),
        Condition::Created(Key::Member(id("b")), Revision(6)),
    ];
    assert_eq!(only_if[..], conditions);
    let done = Event::Written(Key::Plan(schedule()), Written::Done(Revision(7)));
    assert_eq!(machine.step(now(2_010), done), []);
    let PlanAnswer::Assigned(division) = machine.plan(now(3_000), &cycle(3_000)) else {
        panic!("no plan");
    };
    assert_eq!(division.members(&unit()), 1);
    assert!(division.lists(&units()));
}

#[test]
fn a_first_plan_may_be_for_the_cycle_in_progress() {
    let mut machine = machine(OnLoss::Continue);
    let units = RegisteredUnits {
        units: vec![unit()],
        meters: 1,
        in_progress: vec![edge(0)],
    };
    machine.step(now(1_000), Event::Register(units));
    machine.step(now(1_000), session(1_000, 2, snapshot(5, Vec::new())));
    machine.step(now(1_000), written(6));
    let actions = machine.step(now(3_000), Event::Tick);
    assert!(
        matches!(
            &actions[..],
            [Action::Write {
                value: Value::Plan(_),
                ..
            }]
        ),
        "{actions:?}"
    );
    let done = Event::Written(Key::Plan(schedule()), Written::Done(Revision(7)));
    let begin = Action::Begin {
        cycle: cycle(0),
        edge: now(0).boot,
        interval: Duration::from_secs(10),
    };
    assert_eq!(machine.step(now(3_010), done), [begin]);
    assert!(matches!(
        machine.plan(now(3_010), &cycle(0)),
        PlanAnswer::Assigned(_)
    ));
}

#[test]
fn the_fence_confirms_the_lease_only_after_the_deadline() {
    let mut machine = polling(OnLoss::Continue);
    // The last keepalive was sent at 8 s; a tenth of 5 s is the margin.
    let verdict = |machine: &Machine, at, finished| {
        machine.may_hand_over(now(at).boot, &work(10_000), &[unit()], now(finished).boot)
    };
    assert_eq!(verdict(&machine, 12_499, 12_499), Verdict::Allow);
    assert_eq!(verdict(&machine, 12_500, 12_499), Verdict::Allow);
    assert_eq!(verdict(&machine, 12_500, 12_500), Verdict::Unconfirmed);
    assert!(
        machine
            .status(now(12_500).boot)
            .reasons
            .contains(&Reason::LeaseUnconfirmed)
    );
    assert_eq!(
        machine.step(now(12_500), Event::ConfirmLease),
        [Action::RenewLease]
    );
    assert_eq!(machine.step(now(12_600), Event::ConfirmLease), []);
    machine.step(
        now(12_700),
        Event::KeptAlive {
            sent: now(12_500).boot,
        },
    );
    assert_eq!(verdict(&machine, 12_700, 12_700), Verdict::Allow);
    let membership = machine.status(now(12_700).boot).membership;
    assert!(matches!(
        membership,
        Membership::Member {
            lease: LeaseState::Confirmed,
            ..
        }
    ));
}

#[test]
fn without_an_answer_on_loss_decides() {
    for (on_loss, expected) in [(OnLoss::Continue, true), (OnLoss::Pause, false)] {
        let mut machine = polling(on_loss);
        let late = now(13_000).boot;
        assert_eq!(machine.unanswered(late, &work(10_000), &[unit()], late), expected);
        // The second call does not wait.
        let again = machine.may_hand_over(late, &work(10_000), &[unit()], late);
        assert_eq!(again == Verdict::Allow, expected);
    }
}

#[test]
fn a_lost_membership_cancels_units_that_others_have() {
    let mut machine = polling(OnLoss::Continue);
    let actions = machine.step(now(11_000), Event::LeaseGone);
    assert!(actions.contains(&Action::Join {
        after: Duration::ZERO
    }));
    let verdict = |machine: &Machine, finished| {
        machine.may_hand_over(now(13_000).boot, &work(10_000), &[unit()], now(finished).boot)
    };
    assert_eq!(verdict(&machine, 13_000), Verdict::Unconfirmed);
    let current = snapshot(
        9,
        vec![
            others_key(5),
            entry(Key::Plan(schedule()), 7, Content::Value(plan(10_000, 9_000))),
        ],
    );
    let actions = machine.step(now(11_200), session(11_100, 3, current));
    assert!(actions.contains(&Action::Cancel(cycle(10_000))), "{actions:?}");
    assert_eq!(verdict(&machine, 13_000), Verdict::Reject);
    assert_eq!(verdict(&machine, 12_000), Verdict::Allow);
}

#[test]
fn a_lost_membership_finishes_units_without_another_candidate() {
    let mut machine = polling(OnLoss::Continue);
    machine.step(now(11_000), Event::LeaseGone);
    let actions = machine.step(now(11_200), session(11_100, 3, snapshot(9, Vec::new())));
    assert!(!actions.contains(&Action::Cancel(cycle(10_000))), "{actions:?}");
    let late = now(13_000).boot;
    assert_eq!(
        machine.may_hand_over(late, &work(10_000), &[unit()], late),
        Verdict::Allow
    );
}

#[test]
fn a_cycle_without_a_plan_is_reported_even_when_the_next_edge_is_near() {
    let mut machine = polling(OnLoss::Continue);
    machine.step(now(18_000), Event::Prepare(edge(20_000)));
    assert_eq!(machine.plan(now(20_000), &cycle(20_000)), PlanAnswer::Wait);
    machine.step(now(20_100), Event::Prepare(edge(30_000)));
    let actions = machine.step(now(26_000), Event::Tick);
    let missing = Action::Notice(Notice::NoPlanInTime(cycle(20_000)));
    assert!(actions.contains(&missing), "{actions:?}");
    let reasons = machine.status(now(26_000).boot).reasons;
    let degraded = Reason::NoPlan {
        schedule: schedule(),
        polled: true,
    };
    assert!(reasons.contains(&degraded), "{reasons:?}");
    let again = machine.step(now(26_100), Event::Tick);
    assert!(!again.contains(&missing), "{again:?}");
}

#[test]
fn units_left_to_others_are_taken_back_while_etcd_is_unreachable() {
    let mut machine = polling(OnLoss::Continue);
    machine.step(now(11_000), Event::LeaseGone);
    let current = snapshot(9, vec![others_key(5)]);
    let actions = machine.step(now(11_200), session(11_100, 3, current.clone()));
    assert!(actions.contains(&Action::Cancel(cycle(10_000))), "{actions:?}");
    let gave_up = Event::GaveUp {
        work: work(10_000),
        unit: unit(),
    };
    machine.step(now(11_200), gave_up);
    machine.step(now(11_300), written(10));

    // While its lease is confirmed, this agent knows as much as the others.
    machine.step(now(11_400), Event::StoreLost);
    let deadline = 11_100 + 4_500;
    assert_eq!(machine.next_tick(), Some(now(deadline).boot));
    let actions = machine.step(now(deadline), Event::Tick);
    let taken = actions.iter().find_map(|action| match action {
        Action::TakeOver { takeover, units, .. } if units[..] == [unit()] => Some(*takeover),
        _ => None,
    });
    let back = WorkName {
        takeover: Some(taken.expect("a takeover of its own share")),
        ..work(10_000)
    };
    let late = now(17_000).boot;
    let verdict = machine.may_hand_over(late, &back, &[unit()], late);
    assert_eq!(verdict, Verdict::Unconfirmed);
    assert!(machine.unanswered(late, &back, &[unit()], late));

    machine.step(now(18_000), Event::LeaseGone);
    let actions = machine.step(now(18_200), session(18_100, 4, current));
    assert!(actions.contains(&Action::Cancel(cycle(10_000))), "{actions:?}");
    let verdict = machine.may_hand_over(now(18_300).boot, &back, &[unit()], now(18_300).boot);
    assert_eq!(verdict, Verdict::Reject);
}

#[test]
fn a_finished_share_is_marked_once_and_a_dead_members_share_is_taken_over() {
    let mut machine = polling(OnLoss::Continue);
    let finished = Event::Finished {
        work: work(10_000),
        unit: unit(),
    };
    let actions = machine.step(now(11_000), finished);
    let key = Key::Marks(schedule(), Incarnation(2));
    assert!(
        matches!(&actions[..], [Action::Write { key: written, .. }] if *written == key),
        "{actions:?}"
    );
    machine.step(now(11_010), Event::Written(key, Written::Done(Revision(8))));

    let gone = entry(Key::Member(id("a")), 9, Content::Deleted);
    machine.step(
        now(12_000),
        Event::KeptAlive {
            sent: now(12_000).boot,
        },
    );
    assert_eq!(machine.step(now(12_000), Event::Watched(gone)), []);
    assert_eq!(machine.next_tick(), Some(now(12_100).boot));
    assert_eq!(
        machine.step(now(12_100), Event::Tick),
        [Action::Read(Scope::Marks(schedule()))]
    );
    let actions = machine.step(
        now(12_110),
        Event::Read(Scope::Marks(schedule()), snapshot(9, Vec::new())),
    );
    let taken = actions.iter().any(|action| {
        matches!(action, Action::TakeOver { units, until, .. } if units[..] == [unit()] && *until == now(32_000).boot)
    });
    assert!(taken, "{actions:?}");
}

/// Returns how many of a hundred resources a member takes over after each of five other members of its plan has left this
/// record and is gone.
fn taken_over(ends: impl Fn(Incarnation) -> Option<Entry>) -> usize {
    let others = ["a", "c", "d", "e", "f"];
    let incarnation = |name: &str| Incarnation(u128::from(name.as_bytes()[0]));
    let mut machine = machine(OnLoss::Continue);
    machine.step(now(0), register());
    let key = |name: &str| Key::Member(id(name));
    let keys = others.map(|name| entry(key(name), 5, Content::Value(member(incarnation(name).0, 1))));
    machine.step(now(0), session(0, incarnation("b").0, snapshot(5, keys.to_vec())));
    machine.step(now(0), written(6));
    let keepalive = |at| Event::KeptAlive { sent: now(at).boot };
    machine.step(now(8_000), keepalive(8_000));
    machine.step(now(8_000), Event::Prepare(edge(10_000)));
    let members = ["a", "b", "c", "d", "e", "f"].map(|name| PlanMember {
        id: id(name),
        incarnation: incarnation(name),
        units: Arc::new(units()),
    });
    let plan = Value::Plan(Plan {
        start: now(10_000).wall,
        written: now(9_000).wall,
        writer: id("a"),
        versions: Versions::CURRENT,
        members: members.into(),
    });
    let planned = entry(Key::Plan(schedule()), 7, Content::Value(plan));
    machine.step(now(9_000), Event::Watched(planned));
    let share = match machine.plan(now(10_000), &cycle(10_000)) {
        PlanAnswer::Assigned(division) => division,
        other => panic!("{other:?}"),
    };
    machine.step(now(11_000), keepalive(11_000));
    let mut marks = Vec::new();
    for name in others {
        match ends(incarnation(name)) {
            Some(given_up) if matches!(given_up.key, Key::GiveUps(..)) => {
                machine.step(now(11_000), Event::Watched(given_up));
            }
            marked => marks.extend(marked),
        }
        let gone = entry(key(name), 9, Content::Deleted);
        machine.step(now(11_000), Event::Watched(gone));
    }
    machine.step(now(11_100), Event::Tick);
    let read = Event::Read(Scope::Marks(schedule()), snapshot(9, marks));
    let actions = machine.step(now(11_110), read);
    let taken = actions.iter().find_map(|action| match action {
        Action::TakeOver { division, .. } => Some(division.clone()),
        _ => None,
    });
    let owns = |division: &Division, key| {
        let claim = division.claims.get(&unit());
        claim.is_some_and(|(_, claim)| claim.owns(key))
    };
    let taken = resources().filter(|key| taken.as_ref().is_some_and(|division| owns(division, *key)));
    taken.filter(|key| !owns(&share, *key)).count()
}

fn resources() -> impl Iterator<Item = KeyHash> {
    (0..100).map(|number| KeyHash::of(&format!("r{number}")))
}

/// Returns how many of the hundred resources this member owns by the plan.
fn owned_by(name: &str) -> usize {
    let names = ["a", "b", "c", "d", "e", "f"];
    let hashes = names.map(|name| MemberHash::of(&id(name)));
    let owner = |key: &KeyHash| first(&hashes, *key).map(|place| names[place]);
    resources().filter(|key| owner(key) == Some(name)).count()
}

#[test]
fn shares_of_many_stopped_members_are_taken_over_but_not_of_many_dead_ones() {
    let stopped = taken_over(|incarnation| {
        let given_up = GiveUps {
            cycles: [(now(10_000).wall, units())].into(),
        };
        let key = Key::GiveUps(schedule(), incarnation);
        Some(entry(key, 8, Content::Value(Value::GiveUps(given_up))))
    });
    assert_eq!(stopped, 100 - owned_by("b"));
    let dead = taken_over(|_| None);
    assert!(dead < stopped, "{dead} of {stopped}");
    // One died, and all others had finished their share.
    let taken_from_dead = taken_over(|incarnation| {
        let step = Step {
            out: BTreeSet::new(),
            finished: true,
        };
        let steps = units().into_iter().map(|unit| (unit, vec![step.clone()]));
        let marks = Marks {
            cycles: [(now(10_000).wall, steps.collect())].into(),
        };
        let key = Key::Marks(schedule(), incarnation);
        let marked = entry(key, 8, Content::Value(Value::Marks(marks)));
        (incarnation != Incarnation(b'a'.into())).then_some(marked)
    });
    assert_eq!(taken_from_dead, owned_by("a"));
}

#[test]
fn a_clock_skew_is_reported_once_and_plans_are_still_followed() {
    let mut machine = polling(OnLoss::Continue);
    let mut reported = Vec::new();
    for number in 0..4_u64 {
        let at = 20_000 + number * 10_000;
        let planned = entry(
            Key::Plan(schedule()),
            10 + number as i64,
            Content::Value(plan(at, at - 4_000)),
        );
        reported.extend(notices(machine.step(now(at - 500), Event::Watched(planned))));
    }
    assert_eq!(
        reported,
        ["the clock of this host is 3.500 s ahead of the clocks of the other members"]
    );
    let reasons = machine.status(now(50_000).boot).reasons;
    assert!(
        reasons.contains(&Reason::ClockSkew {
            by: Duration::from_millis(3_500)
        }),
        "{reasons:?}"
    );
}

#[test]
fn plans_in_unknown_versions_are_not_followed() {
    let mut machine = polling(OnLoss::Continue);
    let versions = Versions { protocol: 2, hash: 1 };
    let invalid = InvalidRecord {
        key: "plans/every:10:0".to_owned(),
        reason: InvalidReason::Versions(versions),
    };
    machine.step(now(18_000), Event::Prepare(edge(20_000)));
    let planned = entry(Key::Plan(schedule()), 9, Content::Invalid(invalid));
    let reported = notices(machine.step(now(19_000), Event::Watched(planned)));
    assert!(
        reported
            .iter()
            .any(|reported| reported.ends_with("which this version does not support")),
        "{reported:?}"
    );
    assert_eq!(
        machine.plan(now(20_000), &cycle(20_000)),
        PlanAnswer::NoShare(NoShare::UnknownVersions)
    );
}

#[test]
fn an_invalid_key_is_reported_and_its_member_counts_as_gone() {
    let mut machine = polling(OnLoss::Continue);
    let invalid = InvalidRecord {
        key: "members/a".to_owned(),
        reason: InvalidReason::Field("incarnation"),
    };
    let reported = notices(machine.step(
        now(11_000),
        Event::Watched(entry(Key::Member(id("a")), 9, Content::Invalid(invalid))),
    ));
    assert_eq!(
        reported,
        ["invalid key in etcd: members/a: `incarnation` has an invalid value"]
    );
    let reasons = machine.status(now(11_000).boot).reasons;
    assert_eq!(
        reasons,
        [Reason::InvalidKey {
            key: "members/a".to_owned()
        }]
    );
    assert!(!reasons[0].stops_polling());
    assert_eq!(
        machine.step(now(11_100), Event::Tick),
        [Action::Read(Scope::Marks(schedule()))]
    );
}

#[test]
fn different_meters_for_the_same_units_are_a_config_mismatch() {
    let mut machine = polling(OnLoss::Continue);
    let other = entry(Key::Member(id("a")), 9, Content::Value(member(1, 7)));
    let reported = notices(machine.step(now(11_000), Event::Watched(other)));
    assert_eq!(
        reported,
        ["members with the same units have different meters configured"]
    );
    assert_eq!(
        machine.status(now(11_000).boot).reasons,
        [Reason::ConfigMismatch { member: id("a") }]
    );
}

#[test]
fn a_leaving_agent_gives_up_unfinished_units_and_revokes_its_lease_last() {
    let mut machine = polling(OnLoss::Continue);
    let actions = machine.step(now(11_000), Event::Stopping);
    assert!(
        matches!(&actions[..], [Action::Write { value: Value::Member(member), .. }] if member.leaving),
        "{actions:?}"
    );
    let actions = machine.step(now(11_100), Event::Leave);
    let key = Key::GiveUps(schedule(), Incarnation(2));
    assert!(
        matches!(&actions[..], [Action::Write { key: written, .. }, Action::Revoke] if *written == key),
        "{actions:?}"
    );
    assert_eq!(machine.step(now(11_200), Event::Tick), []);
    assert_eq!(machine.status(now(11_200).boot).membership, Membership::Left);
}

#[test]
fn without_etcd_a_cycle_starts_at_its_edge_by_the_last_plans() {
    let mut machine = polling(OnLoss::Continue);
    assert_eq!(
        notices(machine.step(now(12_000), Event::StoreLost)),
        ["etcd is unreachable"]
    );
    machine.step(now(18_000), Event::Prepare(edge(20_000)));
    assert!(matches!(
        machine.plan(now(20_000), &cycle(20_000)),
        PlanAnswer::Assigned(_)
    ));
    let reported = notices(machine.step(now(21_000), Event::Tick));
    assert_eq!(reported, [format!("no plan in time for {}", cycle(20_000))]);

    let mut machine = polling(OnLoss::Pause);
    machine.step(now(12_000), Event::StoreLost);
    machine.step(now(18_000), Event::Prepare(edge(20_000)));
    assert_eq!(
        machine.plan(now(20_000), &cycle(20_000)),
        PlanAnswer::NoShare(NoShare::Paused)
    );
    assert!(
        machine
            .status(now(20_000).boot)
            .reasons
            .iter()
            .any(Reason::stops_polling)
    );
}

#[test]
fn a_plan_is_awaited_as_long_as_a_request_may_take() {
    let waits_until = |request_timeout, interval| {
        let mut machine = Machine::new(Options {
            request_timeout: Duration::from_millis(request_timeout),
            ..machine(OnLoss::Continue).options
        });
        machine.step(now(0), register());
        machine.step(now(0), session(0, 2, snapshot(5, vec![others_key(5)])));
        machine.step(now(0), written(6));
        let edge = Edge {
            interval: Duration::from_secs(interval),
            ..edge(10_000)
        };
        machine.step(now(9_000), Event::Prepare(edge));
        let mut waits = (10_000..25_000).step_by(100);
        waits.find(|at| machine.plan(now(*at), &cycle(10_000)) != PlanAnswer::Wait)
    };
    assert_eq!(waits_until(1_000, 10), Some(11_000));
    assert_eq!(waits_until(2_500, 10), Some(12_500));
    // A plan that is sent to etcd 500 ms after the edge arrives within the rest of a second.
    assert_eq!(waits_until(200, 10), Some(11_000));
    // Half of the cycle remains for polling without a plan.
    assert_eq!(waits_until(2_500, 4), Some(12_000));
    assert_eq!(waits_until(60_000, 60), Some(20_000));
}

#[test]
fn takeovers_are_possible_as_long_as_marks_may_be_read() {
    let until = |request_timeout| {
        let options = Options {
            request_timeout: Duration::from_millis(request_timeout),
            ..machine(OnLoss::Continue).options
        };
        let cycle = Cycle::new(edge(10_000), options.plan_timeout(Duration::from_secs(10)));
        Machine::new(options).until(&cycle)
    };
    assert_eq!(until(500), now(26_000).boot);
    assert_eq!(until(2_500), now(27_500).boot);
}
