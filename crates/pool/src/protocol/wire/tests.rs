//! Tests of encoding and decoding.

use std::sync::Arc;

use nephoscope_model::{ScheduleId, Timestamp};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::protocol::ids::{AgentId, Incarnation, Revision, UnitHash};
use crate::protocol::mark::{GiveUps, Marks, Step};
use crate::protocol::member::{Member, UnitSet, Versions};
use crate::protocol::plan::{Plan, PlanMember};
use crate::protocol::record::{Key, Value};

fn prefix() -> Prefix {
    Prefix::new("/nephoscope")
}

fn schedule() -> ScheduleId {
    ScheduleId::new("cron:0 */5 * * * *:Europe/Prague")
}

#[test]
fn keys_have_this_format() {
    let keys = [
        Key::Member(AgentId::new("node-1").unwrap()),
        Key::Plan(ScheduleId::new("every:300:0")),
        Key::Marks(schedule(), Incarnation(1)),
        Key::GiveUps(schedule(), Incarnation(u128::MAX)),
    ];
    let keys: Vec<_> = keys.iter().map(|key| prefix().key(key)).collect();
    insta::assert_snapshot!(keys.join("\n"), @r"
    /nephoscope/members/node-1
    /nephoscope/plans/every:300:0
    /nephoscope/marks/cron:0%20%2A%2F5%20%2A%20%2A%20%2A%20%2A:Europe%2FPrague/00000000000000000000000000000001
    /nephoscope/gaveup/cron:0%20%2A%2F5%20%2A%20%2A%20%2A%20%2A:Europe%2FPrague/ffffffffffffffffffffffffffffffff
    ");
}

#[test]
fn a_plan_lists_each_set_of_units_once() {
    let units = Arc::new(UnitSet::from([UnitHash(1), UnitHash(2)]));
    let member = |id: &str, units: &Arc<UnitSet>| PlanMember {
        id: AgentId::new(id).unwrap(),
        incarnation: Incarnation(1),
        units: units.clone(),
    };
    let plan = Plan {
        start: Timestamp::from_millis(1_700_000_000_000),
        written: Timestamp::from_millis(1_699_999_999_200),
        writer: AgentId::new("a").unwrap(),
        versions: Versions::CURRENT,
        members: [member("a", &units), member("b", &units)].into(),
    };
    let bytes = encode(&Value::Plan(plan)).unwrap();
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @r#"{"protocol":1,"hash":1,"start":1700000000000,"written":1699999999200,"writer":"a","sets":[["0000000000000001","0000000000000002"]],"members":[{"id":"a","incarnation":"00000000000000000000000000000001","units":0},{"id":"b","incarnation":"00000000000000000000000000000001","units":0}]}"#);
}

#[test]
fn an_invalid_value_has_a_reason() {
    let reasons = [
        r#"{"protocol":2,"hash":1,"anything":[]}"#,
        r#"{"protocol":1,"hash":1,"start":0,"written":0,"writer":"a","sets":[],"members":[{"id":"a","incarnation":"x","units":0}]}"#,
        r#"{"protocol":1,"hash":1,"start":0,"written":0,"writer":"a/b","sets":[],"members":[]}"#,
        r#"{"protocol":1,"hash":1}"#,
        "[",
    ]
    .map(|value| decode(&Key::Plan(schedule()), value.as_bytes()).unwrap_err().to_string());
    insta::assert_snapshot!(reasons.join("\n"), @r"
    unsupported protocol 2 with hash 1
    `incarnation` has an invalid value
    `writer` has an invalid value
    missing field `start` at line 1 column 23
    EOF while parsing a list at line 1 column 1
    ");
}

fn any_key() -> impl Strategy<Value = Key> {
    let schedule = || "[ -~ä]{1,40}".prop_map(ScheduleId::new);
    let incarnation = || any::<u128>().prop_map(Incarnation);
    prop_oneof![
        "[A-Za-z0-9._-]{1,128}".prop_map(|id| Key::Member(AgentId::new(&id).unwrap())),
        schedule().prop_map(Key::Plan),
        (schedule(), incarnation()).prop_map(|(schedule, of)| Key::Marks(schedule, of)),
        (schedule(), incarnation()).prop_map(|(schedule, of)| Key::GiveUps(schedule, of)),
    ]
}

fn units() -> impl Strategy<Value = UnitSet> {
    btree_set(any::<u64>().prop_map(UnitHash), 0..5)
}

fn start() -> impl Strategy<Value = Timestamp> {
    (-1_000_000_000_000_i64..4_000_000_000_000).prop_map(Timestamp::from_millis)
}

prop_compose! {
    fn marks()(cycles in btree_map(start(), btree_map(any::<u64>().prop_map(UnitHash), vec((btree_set(0..50_u32, 0..4), any::<bool>()), 1..4), 0..4), 0..4)) -> Marks {
        let mut marks = Marks::default();
        for (start, units) in cycles {
            let steps = |parts: Vec<(std::collections::BTreeSet<u32>, bool)>| {
                let mut out = std::collections::BTreeSet::new();
                let step = |(more, finished)| {
                    out.extend::<std::collections::BTreeSet<u32>>(more);
                    Step { out: out.clone(), finished }
                };
                parts.into_iter().map(step).collect::<Vec<_>>()
            };
            marks.cycles.insert(start, units.into_iter().map(|(unit, parts)| (unit, steps(parts))).collect());
        }
        marks
    }
}

proptest! {
    #[test]
    fn a_key_round_trips(key in any_key()) {
        let written = prefix().key(&key);
        prop_assert_eq!(prefix().parse(written.as_bytes()), Ok(key));
    }

    #[test]
    fn a_key_has_one_spelling(text in "/nephoscope/(members|plans|marks|gaveup)/[ -~]{0,80}") {
        if let Ok(key) = prefix().parse(text.as_bytes()) {
            prop_assert_eq!(prefix().key(&key), text);
        }
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(key in any_key(), bytes in vec(any::<u8>(), 0..400)) {
        let _ = decode(&key, &bytes);
        let _ = prefix().entry(&bytes, Some(&bytes), Revision(1), Revision(1));
    }

    #[test]
    fn any_json_is_a_value_or_an_error(
        key in any_key(),
        fields in vec(("(protocol|hash|start|written|writer|sets|members|cycles|units|schedules|incarnation|host|leaving|meters)", "(1|-1|1e400|\"\"|\"a\"|\\[\\]|\\[\\[\\]\\]|\\{\\}|\\[\\{\"start\":1,\"units\":\\[\\]\\}\\]|null|true)"), 0..14),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let _ = decode(&key, format!("{{{}}}", fields.join(",")).as_bytes());
    }

    #[test]
    fn a_member_round_trips(
        incarnation in any::<u128>(), host in "[ -~]{0,20}", leaving in any::<bool>(), meters in any::<u64>(),
        schedules in btree_map("[ -~]{1,20}".prop_map(ScheduleId::new), units(), 0..4),
    ) {
        let value = Value::Member(Member {
            incarnation: Incarnation(incarnation), versions: Versions::CURRENT, host: host.into(), leaving, schedules, meters,
        });
        let key = Key::Member(AgentId::new("a").unwrap());
        prop_assert_eq!(decode(&key, &encode(&value).unwrap()), Ok(value));
    }

    #[test]
    fn a_plan_round_trips(
        start in start(), written in start(),
        members in btree_map("[a-z]{1,8}", (any::<u128>(), units()), 0..6),
    ) {
        let members = members.into_iter().map(|(id, (incarnation, units))| PlanMember {
            id: AgentId::new(&id).unwrap(), incarnation: Incarnation(incarnation), units: Arc::new(units),
        });
        let value = Value::Plan(Plan {
            start, written, writer: AgentId::new("a").unwrap(), versions: Versions::CURRENT, members: members.collect(),
        });
        prop_assert_eq!(decode(&Key::Plan(schedule()), &encode(&value).unwrap()), Ok(value));
    }

    #[test]
    fn marks_and_give_ups_round_trip(
        marks in marks(), cycles in btree_map(start(), units(), 0..4),
    ) {
        let marks = Value::Marks(marks);
        let key = Key::Marks(schedule(), Incarnation(1));
        prop_assert_eq!(decode(&key, &encode(&marks).unwrap()), Ok(marks));
        let give_ups = Value::GiveUps(GiveUps { cycles });
        let key = Key::GiveUps(schedule(), Incarnation(1));
        prop_assert_eq!(decode(&key, &encode(&give_ups).unwrap()), Ok(give_ups));
    }
}
