//! Tests with a constructed pool.

use std::sync::Arc;

use nephoscope_model::{ScheduleId, Timestamp};
use nephoscope_pool::protocol::{AgentId, Incarnation, Member, Plan, PlanMember, UnitHash, Versions};
use nephoscope_pool::{PoolView, SeenMember};

use super::names::group_name;
use super::rows::Pool;
use super::tables::{members_table, owners_table, plans_table};
use super::{PartitionError, keys};
use crate::table::Sheet;

const UNIT: UnitHash = UnitHash(7);

fn pool() -> Pool {
    let schedule = ScheduleId::new("every:300:0");
    let units = Arc::new([UNIT].into());
    let id = |name: &str| AgentId::new(name).unwrap();
    let plan = Plan {
        start: Timestamp::from_millis(1_767_323_100_000),
        written: Timestamp::from_millis(1_767_323_099_000),
        writer: id("a"),
        versions: Versions::CURRENT,
        members: ["a", "b", "c"]
            .map(|name| PlanMember {
                id: id(name),
                incarnation: Incarnation(1),
                units: Arc::clone(&units),
            })
            .into(),
    };
    // Member `b` is gone.
    let members = ["a", "c"].map(|name| SeenMember {
        id: id(name),
        member: Member {
            incarnation: Incarnation(1),
            versions: Versions::CURRENT,
            host: format!("host-{name}").into(),
            leaving: name == "c",
            schedules: [(schedule.clone(), [UNIT].into())].into(),
            meters: 0,
        },
        lease_age: Some(std::time::Duration::from_secs(1)),
    });
    Pool {
        view: PoolView {
            members: members.into(),
            plans: vec![(schedule, plan)],
            invalid: Vec::new(),
        },
        units: [(UNIT, "central-global tenants".to_owned())].into(),
    }
}

#[test]
fn members_and_shares_are_shown() {
    let (pool, keys) = (pool(), keys(None).unwrap());
    let text = members_table(Sheet::unbounded(), &pool.members())
        + &plans_table(Sheet::unbounded(), &pool.plans(&keys));
    insta::assert_snapshot!(text, @r"
    MEMBER  HOST    INCARNATION  LEASE AGE  UNITS  STATE
    a       host-a  00000000           1 s      1
    c       host-c  00000000           1 s      1  leaving
    SCHEDULE     PLAN OF              UNIT                    MEMBER   SHARE  STATE
    every:300:0  2026-01-02T03:05:00  central-global tenants  a       33.3 %
    every:300:0  2026-01-02T03:05:00  central-global tenants  b       33.3 %  gone
    every:300:0  2026-01-02T03:05:00  central-global tenants  c       33.4 %
    ");
    let whole: f64 = pool.plans(&keys).iter().map(|row| row.share).sum();
    assert!((whole - 1.0).abs() < 1e-9);
}

#[test]
fn a_gone_owner_is_shown_with_its_successor() {
    let pool = pool();
    let gone = (0..).map(|number| format!("k{number}")).find(|key| {
        let mut owners = pool.owners(key, None);
        owners.next().unwrap().owner.as_deref() == Some("b")
    });
    let rows: Vec<_> = pool.owners(&gone.unwrap(), None).collect();
    insta::assert_snapshot!(owners_table(Sheet::unbounded(), &rows), @r"
    SCHEDULE     UNIT                    OWNER  WHY                                                         RANKING
    every:300:0  central-global tenants  b      first of its ranking in the plan, but gone: `a` takes over  b, a, c
    ");
}

#[test]
fn only_the_keys_of_a_removed_member_move() {
    let (pool, keys) = (pool(), keys(None).unwrap());
    let moved = pool.moved("b", &keys).unwrap();
    for row in &moved {
        let owner = pool.owners(&row.key, None).next().unwrap().owner;
        assert_eq!(owner.as_deref(), Some("b"));
        assert_eq!(pool.owners(&row.key, Some("b")).next().unwrap().owner, row.to);
    }
    let share = pool
        .plans(&keys)
        .iter()
        .find(|row| row.member == "b")
        .unwrap()
        .share;
    assert_eq!(moved.len(), (share * keys.len() as f64).round() as usize);
    assert!(matches!(pool.moved("d", &keys), Err(PartitionError::Unknown(_))));
}

#[test]
fn group_names_are_those_of_ceilometer() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(group_name(&names(&["central"]), ""), "central");
    assert_eq!(group_name(&names(&["compute", "central"]), ""), "central-compute");
    assert_eq!(group_name(&names(&["compute", "ipmi"]), "pp"), "compute-ipmi-pp");
}
