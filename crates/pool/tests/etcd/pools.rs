//! Agents of a pool with a real etcd: the backend as the engine uses it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{
    Assignment, BootTime, Coordinator as _, InProgress, Registration, Unit, Work, WorkId,
};
use nephoscope_model::{CycleId, PartitionMode, ScheduleId, Timestamp};
use nephoscope_pool::protocol::{self, AgentId, Membership, OnLoss};
use nephoscope_pool::{DEFAULT_QUOTA, Pool, PoolOptions, WallClock};
use nephoscope_tests::{Etcd, Network, Proxy};
use tokio::time::Instant;

use crate::stores::{REQUEST, options, soon, store, until};

const INTERVAL: Duration = Duration::from_secs(2);
const TTL: Duration = Duration::from_secs(2);
const KEYS: usize = 200;

struct SystemWall;

impl WallClock for SystemWall {
    #[allow(
        clippy::disallowed_methods,
        reason = "real agents of a real etcd run on the real clock"
    )]
    fn wall(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }
}

fn unit() -> Unit {
    Unit {
        scope: nephoscope_model::Scope::Shared,
        schedule: ScheduleId::new("every:2:0"),
        discovery: "synthetic://200".into(),
        mode: PartitionMode::Resource,
    }
}

fn pool_options(endpoints: Vec<String>, id: &str) -> PoolOptions {
    PoolOptions {
        agent: protocol::Options {
            id: AgentId::new(id).unwrap(),
            host: format!("host-{id}").into(),
            group_prefix: "".into(),
            lease_ttl: TTL,
            request_timeout: Duration::from_secs(1),
            on_loss: OnLoss::Continue,
        },
        store: nephoscope_pool::etcd::StoreOptions {
            request_timeout: Duration::from_secs(1),
            ..options(endpoints)
        },
        prefix: "pool/".to_owned(),
        member_file: None,
        quota: DEFAULT_QUOTA,
    }
}

fn agent(etcd: &Etcd, id: &str) -> Pool {
    Pool::start(pool_options(etcd.endpoints(), id), Arc::new(SystemWall))
}

async fn register(pool: &Pool) {
    let units = vec![unit()];
    let registration = Registration {
        units,
        meters: 1,
        in_progress: Vec::new(),
    };
    pool.register(registration).await;
}

async fn joined(pool: &Pool) {
    let member = async || matches!(pool.status().agent.membership, Membership::Member { .. }).then_some(());
    until("to be a member", member).await;
}

/// Returns the cycle `ahead` cycles after the next edge, and its edge.
fn cycle(ahead: i64) -> (CycleId, Instant) {
    let (now, wall) = (Instant::now(), SystemWall.wall().as_millis());
    let every = i64::try_from(INTERVAL.as_millis()).unwrap();
    let number = wall / every + 1 + ahead;
    let start = number * every;
    let edge = match u64::try_from(start - wall) {
        Ok(ahead) => now + Duration::from_millis(ahead),
        Err(_) => now - Duration::from_millis((wall - start).unsigned_abs()),
    };
    let cycle = CycleId::new(unit().schedule, Timestamp::from_millis(start), number);
    (cycle, edge)
}

/// Runs cycles with some agents until all have a plan with this number of members. Returns the cycle and each agent's
/// assignment.
async fn assignments(pools: &[&Pool], members: usize) -> (CycleId, Vec<Assignment>) {
    let attempt = async || {
        let (cycle, edge) = cycle(0);
        for pool in pools {
            pool.prepare(&cycle, edge, INTERVAL);
        }
        tokio::time::sleep_until(edge).await;
        let mut all = Vec::new();
        for pool in pools {
            all.push(pool.plan(&cycle).await.ok()?);
        }
        let whole = all
            .iter()
            .all(|assignment| assignment.plan.members(&unit()).get() == members);
        whole.then_some((cycle, all))
    };
    until("a plan with all members", attempt).await
}

/// Returns the owners of each key.
fn owners(all: &[Assignment]) -> BTreeMap<String, Vec<usize>> {
    let mut owners: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (agent, assignment) in all.iter().enumerate() {
        let share = assignment.plan.share(&unit());
        for key in (0..KEYS).map(|number| format!("r{number}")) {
            let has = owners.entry(key.clone()).or_default();
            if share.contains(&key) {
                has.push(agent);
            }
        }
    }
    owners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_shared_units_opens_no_connection() {
    let etcd = Etcd::start();
    let proxy = Proxy::to(etcd.nodes[0].port);
    let pool = Pool::start(
        pool_options(vec![etcd.url(proxy.port)], "a"),
        Arc::new(SystemWall),
    );
    pool.register(Registration::default()).await;
    assert!(pool.etcd_answers(REQUEST).await, "it needs no answer of etcd");
    pool.stopping().await;
    pool.leave().await;
    assert!(proxy.sent().is_empty());
    assert_eq!(pool.status().counts.requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_divide_all_keys_and_others_take_over_from_a_leaving_member_at_once() {
    let etcd = Etcd::start();
    let pools = [agent(&etcd, "a"), agent(&etcd, "b"), agent(&etcd, "c")];
    for pool in &pools {
        register(pool).await;
    }
    let (cycle, all) = assignments(&pools.each_ref(), 3).await;
    let owners = owners(&all);
    assert!(
        owners.values().all(|agents| agents.len() == 1),
        "each key has one owner: {owners:?}"
    );
    for agent in 0..3 {
        assert!(
            owners.values().any(|agents| agents == &[agent]),
            "each agent has some"
        );
    }
    // One member stops with all of its share unfinished: the others take it over.
    let work = WorkId::of(cycle);
    assert!(pools[2].may_hand_over(&work, &[unit()], BootTime::now()).await);
    pools[2].stopping().await;
    pools[2].leave().await;
    assert_eq!(pools[2].status().agent.membership, Membership::Left);
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for pool in &pools[..2] {
        let Work::Takeover { assignment, .. } = soon("a takeover", pool.next_work()).await else {
            panic!("other work");
        };
        let share = assignment.plan.share(&unit());
        for key in owners.keys().filter(|key| share.contains(key)) {
            *taken.entry(key.clone()).or_default() += 1;
        }
    }
    let lost: Vec<_> = owners
        .iter()
        .filter(|(_, agents)| agents == &&[2])
        .map(|(key, _)| key.clone())
        .collect();
    assert_eq!(taken.keys().cloned().collect::<Vec<_>>(), lost);
    assert!(taken.values().all(|count| *count == 1));
    let members = etcd.read("pool/members/");
    assert_eq!(members.len(), 2, "its key is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_plan_of_a_schedule_is_for_the_cycle_in_progress() {
    const HOUR: Duration = Duration::from_secs(3600);
    let etcd = Etcd::start();
    let a = agent(&etcd, "a");
    let (known, edge) = cycle(-1);
    let in_progress = InProgress {
        cycle: known.clone(),
        edge,
        interval: HOUR,
    };
    let registration = Registration {
        units: vec![unit()],
        meters: 1,
        in_progress: vec![in_progress],
    };
    a.register(registration).await;
    let Work::InProgress { cycle, interval, .. } = soon("the cycle in progress", a.next_work()).await else {
        panic!("other work");
    };
    assert_eq!((&cycle, interval), (&known, HOUR));
    assert_eq!(a.plan(&cycle).await.unwrap().plan.members(&unit()).get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_work_of_a_dead_agent_is_taken_over() {
    let etcd = Etcd::start();
    let (a, b) = (agent(&etcd, "a"), agent(&etcd, "b"));
    register(&a).await;
    register(&b).await;
    let (_, all) = assignments(&[&a, &b], 2).await;
    let owners = owners(&all);
    // Like a crash: nothing is revoked.
    drop(b);
    let Work::Takeover {
        assignment, units, ..
    } = soon("a takeover", a.next_work()).await
    else {
        panic!("other work");
    };
    assert_eq!(units, [unit()]);
    let share = assignment.plan.share(&unit());
    for (key, agents) in owners {
        assert_eq!(share.contains(&key), agents == [1], "{key}");
    }
    assert_eq!(a.status().counts.takeovers, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_belongs_to_one_running_agent() {
    let etcd = Etcd::start();
    let first = agent(&etcd, "a");
    register(&first).await;
    joined(&first).await;
    let second = agent(&etcd, "a");
    register(&second).await;
    let holder = soon("to be rejected", second.duplicate_id(2 * TTL)).await;
    assert_eq!(holder.host, "host-a");
    let reasons: Vec<_> = second
        .status()
        .agent
        .reasons
        .iter()
        .map(|reason| reason.name())
        .collect();
    assert_eq!(reasons, ["duplicate_id"]);
    // It keeps trying, and joins when the other agent has left.
    first.stopping().await;
    first.leave().await;
    joined(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_agent_revokes_its_old_lease_and_joins_at_once() {
    let etcd = Etcd::start();
    let folder = tempfile::tempdir().unwrap();
    let member_file: PathBuf = folder.path().join("member.json");
    let start = || {
        let mut options = pool_options(etcd.endpoints(), "a");
        options.member_file = Some(member_file.clone());
        // This test must not wait until a lease expires.
        options.agent.lease_ttl = Duration::from_secs(600);
        Pool::start(options, Arc::new(SystemWall))
    };
    let first = start();
    register(&first).await;
    joined(&first).await;
    let before = etcd.read("pool/members/a");
    drop(first);
    let second = start();
    register(&second).await;
    joined(&second).await;
    let after = etcd.read("pool/members/a");
    assert_ne!(before[0].lease(), after[0].lease());
    assert_ne!(before[0].value(), after[0].value(), "another incarnation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_agent_rejoins_after_etcd_was_wiped() {
    let mut etcd = Etcd::start();
    let (a, b) = (agent(&etcd, "a"), agent(&etcd, "b"));
    register(&a).await;
    register(&b).await;
    assignments(&[&a, &b], 2).await;
    etcd.wipe();
    assignments(&[&a, &b], 2).await;
    assert!(a.status().counts.lost > 0 && a.status().counts.joined > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manually_revoked_lease_is_replaced() {
    let etcd = Etcd::start();
    let a = agent(&etcd, "a");
    register(&a).await;
    joined(&a).await;
    let lease = etcd.read("pool/members/a")[0].lease();
    etcd.with(|mut client| async move { client.lease_revoke(lease).await });
    until("another membership", async || {
        (a.status().counts.joined == 2).then_some(())
    })
    .await;
    // The same for the record lease: the next plan is still written.
    assignments(&[&a], 1).await;
    let plan = etcd.read("pool/plans/");
    let lease = plan[0].lease();
    etcd.with(|mut client| async move { client.lease_revoke(lease).await });
    assignments(&[&a], 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_etcd_an_agent_keeps_its_last_share() {
    let etcd = Etcd::start();
    let proxies = [Proxy::to(etcd.nodes[0].port), Proxy::to(etcd.nodes[0].port)];
    let start = |proxy: &Proxy, id, on_loss| {
        let mut options = pool_options(vec![etcd.url(proxy.port)], id);
        options.agent.on_loss = on_loss;
        Pool::start(options, Arc::new(SystemWall))
    };
    let a = start(&proxies[0], "a", OnLoss::Continue);
    let b = start(&proxies[1], "b", OnLoss::Pause);
    register(&a).await;
    register(&b).await;
    let (_, all) = assignments(&[&a, &b], 2).await;
    let before = owners(&all);
    proxies.iter().for_each(|proxy| proxy.set(Network::HalfOpen));
    until("the agents to notice", async || {
        let lost = |pool: &Pool| {
            pool.status()
                .agent
                .reasons
                .iter()
                .any(|reason| reason.name() == "degraded")
        };
        (lost(&a) && lost(&b)).then_some(())
    })
    .await;
    let (cycle, edge) = cycle(0);
    a.prepare(&cycle, edge, INTERVAL);
    b.prepare(&cycle, edge, INTERVAL);
    let kept = a.plan(&cycle).await.unwrap();
    let share = kept.plan.share(&unit());
    for (key, agents) in before {
        assert_eq!(share.contains(&key), agents == [0], "{key}");
    }
    let paused = b.plan(&cycle).await.unwrap_err();
    assert!(paused.reason.contains("pause"), "{paused:?}");
    assert!(
        a.may_hand_over(&WorkId::of(cycle), &[unit()], BootTime::now())
            .await
    );
    proxies.iter().for_each(|proxy| proxy.set(Network::Normal));
    assignments(&[&a, &b], 2).await;
    until("the failures to end", async || {
        a.status().failures.is_empty().then_some(())
    })
    .await;
}

/// Returns the number of keys and their bytes, and the bytes of the database in use after compaction and defragmentation.
async fn live(etcd: &Etcd) -> (usize, usize, u64) {
    let entries = etcd.read("pool/");
    let bytes = entries
        .iter()
        .map(|entry| entry.key().len() + entry.value().len());
    etcd.compact();
    etcd.with(|mut client| async move { client.defragment().await });
    let used = store(etcd).health().await.unwrap().used_bytes;
    (entries.len(), bytes.sum(), used)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_live_bytes_do_not_grow_over_time() {
    let etcd = Etcd::start();
    let pools = ["a", "b", "c"].map(|id| agent(&etcd, id));
    for pool in &pools {
        register(pool).await;
    }
    let cycles = async |count| {
        let (mut keys, mut bytes, mut used) = (0, 0, 0);
        for _ in 0..count {
            let (cycle, _) = assignments(&pools.each_ref(), 3).await;
            for pool in &pools {
                pool.finished(&WorkId::of(cycle.clone()), &unit());
            }
            let now = live(&etcd).await;
            (keys, bytes, used) = (now.0.max(keys), now.1.max(bytes), now.2.max(used));
        }
        (keys, bytes, used)
    };
    // Marks contain the cycles that can still be taken over, which is a lease and a second.
    let before = cycles(5).await;
    let after = cycles(12).await;
    println!("keys, bytes, bytes of the database in use: {before:?}, later {after:?}");
    assert_eq!(
        after.0, before.0,
        "three members, a plan, three marks: no other keys"
    );
    // Sometimes marks contain one more cycle; twelve more cycles would double their size.
    assert!(after.1 < before.1 + before.1 / 4, "{before:?} {after:?}");
    assert!(after.2 < before.2 + before.2 / 2, "{before:?} {after:?}");
}
